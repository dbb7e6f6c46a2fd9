import StemwireKernels

/// Puts the frames of a partition into windows of fixed borders and hands these on in rising order, whatever the order
/// and the pieces in which frames arrive: so floating-point sums depend on the frames alone.
///
/// A window is kept as long as it, or one before it, may still get frames. The frames of an undisturbed scan pass
/// through without a copy.
struct WindowAssembler {
    /// The indices of the UDFs that want windows of this depth.
    let users: [Int]
    private let depth: Int
    private let positions: Range<Int>
    /// The first window that has not been handed on.
    private var next = 0
    private var open: [Int: AlignedStorage] = [:]

    init(users: [Int], depth: Int, positions: Range<Int>) {
        self.users = users
        self.depth = depth
        self.positions = positions
    }

    /// Takes a block, and hands on what is complete.
    ///
    /// - Parameter received: All positions taken so far, including the block's, from the partition's first.
    mutating func add(
        _ views: inout BlockViews, _ received: PositionSet, _ lane: UDFLane,
        _ body: (inout BlockViews) throws(UDFError) -> Void
    ) throws(UDFError) {
        var rest = views.positions
        while !rest.isEmpty {
            let window = (rest.lowerBound - positions.lowerBound) / depth
            let range = self.range(window)
            let piece = rest.lowerBound..<min(rest.upperBound, range.upperBound)
            rest = piece.upperBound..<rest.upperBound
            if piece == range, window == next {
                next += 1
                if piece == views.positions {
                    try body(&views)
                } else {
                    var part = BlockViews(views.decoded().frames(piece), lane)
                    try body(&part)
                }
            } else {
                keep(views.decoded().frames(piece), window, lane)
                // Windows behind this one may be received, but not be kept yet.
                try handOn(before: window + 1, received, lane, onlyComplete: true, body)
            }
        }
        try handOn(before: windowCount, received, lane, onlyComplete: true, body)
    }

    /// Hands on what is left, with the frames that there are.
    mutating func finish(
        _ received: PositionSet, _ lane: UDFLane, _ body: (inout BlockViews) throws(UDFError) -> Void
    ) throws(UDFError) {
        try handOn(before: windowCount, received, lane, onlyComplete: false, body)
    }

    private var windowCount: Int { (positions.count + depth - 1) / depth }

    private func range(_ window: Int) -> Range<Int> {
        let first = positions.lowerBound + window * depth
        return first..<min(first + depth, positions.upperBound)
    }

    private mutating func keep(_ tile: FrameTile, _ window: Int, _ lane: UDFLane) {
        let imageBytes = lane.decoder.imageBytes
        let storage = open[window] ?? lane.takeWindow(depth * imageBytes)
        open[window] = storage
        let slot = tile.positions.lowerBound - range(window).lowerBound
        tile.copyFrames(to: storage.pointer + slot * imageBytes, imageBytes)
    }

    private mutating func handOn(
        before end: Int, _ received: PositionSet, _ lane: UDFLane, onlyComplete: Bool,
        _ body: (inout BlockViews) throws(UDFError) -> Void
    ) throws(UDFError) {
        while next < end {
            let range = self.range(next)
            let local = range.lowerBound - positions.lowerBound..<range.upperBound - positions.lowerBound
            if onlyComplete, received.count(in: local) < lane.plan.selectedCount(in: range) { return }
            let storage = open.removeValue(forKey: next)
            next += 1
            guard let storage else { continue }
            defer { lane.giveBack(storage) }
            var rest = local
            while let run = received.firstRun(in: rest, of: true) {
                rest = run.upperBound..<rest.upperBound
                let first = storage.pointer + (run.lowerBound - local.lowerBound) * lane.decoder.imageBytes
                var views = BlockViews(
                    FrameTile(decoded: first, positions: run, from: positions.lowerBound, lane), lane)
                try body(&views)
            }
        }
    }
}

/// Collects the frames of a partition for UDFs that want them all at once.
struct PartitionAssembler {
    private let positions: Range<Int>
    private var storage: AlignedStorage?

    init(positions: Range<Int>) { self.positions = positions }

    mutating func add(_ tile: FrameTile, _ lane: UDFLane) {
        let imageBytes = lane.decoder.imageBytes
        let storage = storage ?? lane.takeWindow(positions.count * imageBytes)
        self.storage = storage
        tile.copyFrames(
            to: storage.pointer + (tile.positions.lowerBound - positions.lowerBound) * imageBytes, imageBytes)
    }

    /// Hands on the frames that arrived, as one stack without gaps; nothing when none did.
    mutating func finish(
        _ received: PositionSet, _ lane: UDFLane,
        _ body: (inout BlockViews, _ positions: [Int]) throws(UDFError) -> Void
    ) throws(UDFError) {
        guard let storage = storage.take() else { return }
        defer { lane.giveBack(storage) }
        let imageBytes = lane.decoder.imageBytes
        var count = 0
        for run in received.ranges {
            (storage.pointer + count * imageBytes).copyMemory(
                from: storage.pointer + run.lowerBound * imageBytes, byteCount: run.count * imageBytes)
            count += run.count
        }
        var views = BlockViews(
            FrameTile(decoded: storage.pointer, positions: 0..<count, from: positions.lowerBound, lane), lane)
        try body(&views, received.ranges.flatMap { $0.map { positions.lowerBound + $0 } })
    }
}

extension FrameTile {
    /// Decoded frames one right behind the other; positions are counted from `origin`.
    init(decoded base: UnsafeRawPointer, positions: Range<Int>, from origin: Int, _ lane: UDFLane) {
        self.init(
            positions: positions.lowerBound + origin..<positions.upperBound + origin, dtype: lane.decoder.dtype,
            pixelCount: lane.decoder.imageBytes / lane.decoder.dtype.byteCount, frameStride: lane.decoder.imageBytes,
            base: base, encoding: PixelEncoding(dtype: lane.decoder.dtype))
    }

    /// Some of the frames.
    func frames(_ part: Range<Int>) -> FrameTile {
        FrameTile(
            positions: part, dtype: dtype, pixelCount: pixelCount, frameStride: frameStride,
            base: base + (part.lowerBound - positions.lowerBound) * frameStride, encoding: encoding)
    }

    func copyFrames(to target: UnsafeMutableRawPointer, _ imageBytes: Int) {
        for index in 0..<count {
            (target + index * imageBytes).copyMemory(from: base + index * frameStride, byteCount: imageBytes)
        }
    }
}
