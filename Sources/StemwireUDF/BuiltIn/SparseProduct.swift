import StemwireKernels

/// Sparse masks: for each mask the pixels with a weight other than 0, one mask behind the other (compressed rows).
struct SparseRows: Sendable {
    let isDouble: Bool
    /// Where each mask begins, and where the last one ends.
    fileprivate private(set) var starts = [0]
    fileprivate var pixels: [UInt32] = []
    /// One of the two is empty.
    fileprivate private(set) var singles: [Float] = []
    fileprivate private(set) var doubles: [Double] = []

    /// - Parameter isDouble: Whether weights are kept as `float64`; otherwise they are rounded to `float32`.
    init(isDouble: Bool) { self.isDouble = isDouble }

    var maskCount: Int { starts.count - 1 }
    var entryCount: Int { pixels.count }

    /// Adds a pixel to the mask that is being made.
    mutating func append(_ pixel: Int, _ weight: Double) {
        pixels.append(UInt32(pixel))
        if isDouble { doubles.append(weight) } else { singles.append(Float(weight)) }
    }

    /// Ends a mask; the next pixels belong to the next one.
    mutating func endMask() { starts.append(pixels.count) }

    /// Calls `body` for each pixel of a mask with a weight.
    @inline(__always)
    func forEach(in mask: Int, _ body: (_ pixel: Int, _ weight: Double) -> Void) {
        for index in starts[mask]..<starts[mask + 1] {
            body(Int(pixels[index]), isDouble ? doubles[index] : Double(singles[index]))
        }
    }

    /// The same masks with their weights rounded to `float32`.
    func rounded() -> SparseRows {
        var rows = SparseRows(isDouble: false)
        rows.starts = starts
        rows.pixels = pixels
        rows.singles = isDouble ? doubles.map { Float($0) } : singles
        return rows
    }

    /// The pixels that are in some mask.
    func usedPixels(of pixelCount: Int) -> [Bool] {
        var isUsed = [Bool](repeating: false, count: pixelCount)
        for pixel in pixels { isUsed[Int(pixel)] = true }
        return isUsed
    }

    /// Memory for so many entries.
    static func byteCount(entries: Int, isDouble: Bool) -> Int { entries * (isDouble ? 12 : 8) }
}

/// Sums of frames weighted with sparse masks: as `MaskProduct`, but only pixels of some mask are looked at, and each mask
/// costs what its own pixels do.
///
/// Sixteen frames are taken at once, the pixels that occur beside each other for all of them, so that a weight is read
/// once for sixteen frames. `float32` products are added up in pieces of 128, the sums of these as `float64`. The bits of
/// a frame's sums depend on the frame and the masks alone. A value without state, to be used by any number of threads.
struct SparseProduct: Sendable {
    /// Frames that are taken at once.
    static let batch = 16
    /// Products that are added up as `float32`; 128 counts of 16 bits stay below 2²⁴, and so exact. Part of the result.
    private static let piece = 128
    /// Pixels that are turned at once: for sixteen frames they stay in the first-level cache.
    private static let turnedPixels = 256
    /// Gaps between pixels that are not worth a block of their own.
    private static let negligibleGap = 16

    let maskCount: Int
    private let rows: SparseRows
    /// The pixels that are looked at; `rows.pixels` counts them in this order.
    private let blocks: [Range<Int>]
    private let usedCount: Int
    private let dtype: DType
    private let kernels = PixelKernels()

    /// - Parameter meta: Says what the pixels are.
    init(_ rows: SparseRows, meta: UDFMeta) {
        let isUsed = rows.usedPixels(of: meta.sigShape.pixelCount)
        blocks = Self.blocks(isUsed)
        var places = [UInt32](repeating: 0, count: isUsed.count)
        var used = 0
        for block in blocks {
            for pixel in block {
                places[pixel] = UInt32(used)
                used += 1
            }
        }
        var rows = rows
        for index in rows.pixels.indices { rows.pixels[index] = places[Int(rows.pixels[index])] }
        self.rows = rows
        usedCount = used
        maskCount = rows.maskCount
        dtype = meta.inputDType
    }

    private static func blocks(_ isUsed: [Bool]) -> [Range<Int>] {
        var blocks: [Range<Int>] = []
        for pixel in isUsed.indices where isUsed[pixel] {
            if let last = blocks.last, pixel - last.upperBound <= negligibleGap, pixel - last.lowerBound < turnedPixels
            {
                blocks[blocks.count - 1] = last.lowerBound..<pixel + 1
            } else {
                blocks.append(pixel..<pixel + 1)
            }
        }
        return blocks
    }

    /// The form in which it takes pixels.
    var input: InputType { PixelEncoding(dtype: dtype) != nil && !rows.isDouble ? .stack : .native }

    /// How much memory a thread needs to multiply.
    var scratchBytes: Int { usedCount * Self.batch * (rows.isDouble ? DType.float64 : .float32).byteCount }

    /// sums[frame, mask] = Σ over pixels of the frame's pixel · the mask's.
    ///
    /// - Parameter scratch: Memory of at least `scratchBytes`, aligned to 64 bytes.
    func multiply(
        _ tile: FrameTile, scratch: UnsafeMutableRawPointer, into sums: UnsafeMutableBufferPointer<Double>
    ) throws {
        UnsafeMutableBufferPointer(rebasing: sums[..<(tile.count * maskCount)]).update(repeating: 0)
        var part = 0..<0
        try multiply(tile, scratch: scratch) {
            part = $0
        } take: { mask, values in
            for (lane, frame) in part.enumerated() { sums[frame * maskCount + mask] = values[lane] }
        }
    }

    /// Gives the sums of each mask for the frames of a tile, in parts of at most ``batch`` frames.
    ///
    /// - Parameters:
    ///   - scratch: Memory of at least `scratchBytes`, aligned to 64 bytes.
    ///   - begin: Called for each part, with the indices of its frames in the tile.
    ///   - take: Called for each mask that has pixels, in their order, with the sums of these frames; 0 where the part
    ///     has less than ``batch``.
    @inline(__always)
    func multiply(
        _ tile: FrameTile, scratch: UnsafeMutableRawPointer, begin: (Range<Int>) throws -> Void,
        take: (_ mask: Int, _ sums: SIMD16<Double>) -> Void
    ) throws {
        for first in stride(from: 0, to: tile.count, by: Self.batch) {
            let frames = first..<min(first + Self.batch, tile.count)
            try begin(frames)
            if rows.isDouble {
                let turned = scratch.bindMemory(to: SIMD16<Double>.self, capacity: usedCount)
                try turn(tile, frames, into: turned)
                rows.doubles.withUnsafeBufferPointer { addProducts($0, turned, take) }
            } else {
                let turned = scratch.bindMemory(to: SIMD16<Float>.self, capacity: usedCount)
                try turn(tile, frames, into: turned)
                rows.singles.withUnsafeBufferPointer { addProducts($0, turned, take) }
            }
        }
    }

    @inline(__always)
    private func addProducts<Element: SIMDScalar & BinaryFloatingPoint>(
        _ weights: UnsafeBufferPointer<Element>, _ turned: UnsafePointer<SIMD16<Element>>,
        _ take: (_ mask: Int, _ sums: SIMD16<Double>) -> Void
    ) {
        rows.pixels.withUnsafeBufferPointer { pixels in
            var entry = 0
            for mask in 0..<maskCount {
                let end = rows.starts[mask + 1]
                if entry == end { continue }
                var sums = SIMD16<Double>.zero
                while entry < end {
                    let pieceEnd = min(entry + Self.piece, end)
                    var piece = SIMD16<Element>.zero
                    while entry < pieceEnd {
                        piece += turned[Int(pixels[entry])] * weights[entry]
                        entry += 1
                    }
                    sums += SIMD16<Double>(widening: piece)
                }
                take(mask, sums)
            }
        }
    }

    /// Puts the pixels that are looked at beside each other for all frames.
    private func turn(
        _ tile: FrameTile, _ frames: Range<Int>, into turned: UnsafeMutablePointer<SIMD16<Float>>
    ) throws {
        let isCount = tile.encoding != nil
        try withUnsafeTemporaryAllocation(of: Float.self, capacity: Self.batch * Self.turnedPixels) { lines in
            try withUnsafeTemporaryAllocation(of: Double.self, capacity: isCount ? 0 : Self.turnedPixels) { line in
                var place = 0
                for block in blocks {
                    if isCount {
                        kernels.convertToFloat(try tile.stack().frames(frames).pixels(block), into: lines)
                    } else if let numbers = line.baseAddress {
                        for (index, frame) in frames.enumerated() {
                            try tile[frame].copyPixels(block, to: numbers)
                            for pixel in 0..<block.count { lines[index * block.count + pixel] = Float(numbers[pixel]) }
                        }
                    }
                    Self.turn(lines, frames.count, block.count, into: turned + place)
                    place += block.count
                }
            }
        }
    }

    private func turn(
        _ tile: FrameTile, _ frames: Range<Int>, into turned: UnsafeMutablePointer<SIMD16<Double>>
    ) throws {
        try withUnsafeTemporaryAllocation(of: Double.self, capacity: Self.batch * Self.turnedPixels) { lines in
            guard let base = lines.baseAddress else { return }
            var place = 0
            for block in blocks {
                for (index, frame) in frames.enumerated() {
                    try tile[frame].copyPixels(block, to: base + index * block.count)
                }
                Self.turn(lines, frames.count, block.count, into: turned + place)
                place += block.count
            }
        }
    }

    @inline(__always)
    private static func turn<Element: SIMDScalar & BinaryFloatingPoint>(
        _ lines: UnsafeMutableBufferPointer<Element>, _ lineCount: Int, _ length: Int,
        into turned: UnsafeMutablePointer<SIMD16<Element>>
    ) {
        UnsafeMutableBufferPointer(rebasing: lines[lineCount * length..<batch * length]).update(repeating: 0)
        // Setting the lanes of a vector one by one is many times as slow.
        turned.withMemoryRebound(to: Element.self, capacity: batch * length) { turned in
            for pixel in 0..<length {
                for line in 0..<batch { turned[pixel * batch + line] = lines[line * length + pixel] }
            }
        }
    }
}

extension SIMD16<Double> {
    /// By way of memory, since converting lane by lane is many times as slow.
    @inline(__always)
    fileprivate init<Element: SIMDScalar & BinaryFloatingPoint>(widening narrow: SIMD16<Element>) {
        self.init()
        withUnsafeBytes(of: narrow) { narrow in
            withUnsafeMutableBytes(of: &self) { wide in
                let (narrow, wide) = (
                    narrow.assumingMemoryBound(to: Element.self), wide.assumingMemoryBound(to: Double.self)
                )
                for lane in 0..<16 { wide[lane] = Double(narrow[lane]) }
            }
        }
    }
}

extension SparseProduct {
    /// Whether masks have few enough entries that it is worth making lists of them to find out.
    static func canBeWorthwhile(_ masks: MaskStack) -> Bool {
        4 * masks.entryCount < (masks.rowCount + 2) * masks.sigShape.pixelCount
    }

    /// Whether it takes less time for these masks than `MaskProduct`.
    ///
    /// By measurement on 256² counts of 16 bits (AVX-512 of one core): it takes 0.1 ns for an entry and 0.27 ns for a pixel
    /// that is looked at; `MaskProduct` takes 0.03 ns for a weight and 0.05 ns for a pixel. One rule for all machines, since
    /// the last bits of results depend on the choice.
    static func isWorthwhile(_ rows: SparseRows, pixelCount: Int) -> Bool {
        let blocks = blocks(rows.usedPixels(of: pixelCount))
        let looked = blocks.reduce(0) { $0 + $1.count }
        // `MaskProduct` leaves out blocks of its own without any weight.
        let dense = 2048
        let touched = Set(blocks.flatMap { [$0.lowerBound / dense, ($0.upperBound - 1) / dense] })
        let pixels = touched.reduce(0) { $0 + min(dense, pixelCount - $1 * dense) }
        return 4 * rows.entryCount + 10 * looked < (rows.maskCount + 2) * pixels
    }
}
