import MerlinProtocol
import StemwireKernels

/// How far the masks of a request are moved for each frame, in whole pixels (y, x).
enum MaskShifts: Sendable {
    case constant(y: Int, x: Int)
    /// [position, (y, x)].
    case perPosition([Int32])

    /// The name of the auxiliary data that hold them.
    static let auxiliaryName = "shift"

    /// - Returns: nil when masks stay where they are.
    /// - Throws: `UDFFailure` for auxiliary data that are no shifts.
    init?(y: Int, x: Int, _ meta: UDFMeta) throws {
        if let other = meta.auxiliary.keys.sorted().first(where: { $0 != Self.auxiliaryName }) {
            throw UDFFailure("the auxiliary data \(other) are unknown; masks takes \(Self.auxiliaryName) (nav, + 2)")
        }
        guard let array = meta.auxiliary[Self.auxiliaryName] else {
            if y == 0 && x == 0 { return nil }
            self = .constant(y: y, x: x)
            return
        }
        guard y == 0, x == 0 else {
            throw UDFFailure("shift_y, shift_x: there are auxiliary data with a shift for each position, too; give one")
        }
        guard array.shape == meta.navShape + [2], !array.dtype.isComplex, array.dtype != .bool else {
            throw UDFFailure(
                "the auxiliary data \(Self.auxiliaryName) are \(array.dtype) of shape \(array.shape); they must be "
                    + "real, of shape \(meta.navShape + [2]): y and x in pixels")
        }
        let shifts = array.doubles()
        if let bad = shifts.firstIndex(where: { !$0.isFinite }) {
            throw UDFFailure("the shift of scan position \(bad / 2) is \(shifts[bad])")
        }
        // Masks that are farther away are just as much outside the frame.
        let farthest = Double(Int32.max)
        self = .perPosition(shifts.map { Int32(min(max($0, -farthest), farthest)) })
    }

    func callAsFunction(_ position: Int) -> (y: Int, x: Int) {
        switch self {
        case .constant(let y, let x): (y, x)
        case .perPosition(let shifts): (Int(shifts[2 * position]), Int(shifts[2 * position + 1]))
        }
    }
}

/// Sums of frames weighted with masks that are moved for each frame; what leaves the frame does not count.
///
/// Frame by frame: each row of the moved masks with the row of the frame that it comes to lie on. The bits of a frame's
/// sums depend on the frame, the masks and the shift alone.
struct ShiftedMasks: Sendable {
    private enum Weights {
        /// For each mask the runs of its rows.
        case binary([[(y: Int, x: Range<Int>)]])
        /// [row of weights, pixel].
        case float32([Float])
        case float64([Double])
    }

    private let weights: Weights
    private let rowCount: Int
    private let sigShape: SigShape
    private let shifts: MaskShifts
    /// The rows and columns in which some mask is not zero.
    private let box: (y: Range<Int>, x: Range<Int>)
    private let kernels = PixelKernels()

    /// - Parameter isExact: Whether masks of 0 and 1 are added up as whole numbers.
    init(_ masks: MaskStack, _ shifts: MaskShifts, isExact: Bool, isDouble: Bool) throws {
        sigShape = masks.sigShape
        rowCount = masks.rowCount
        self.shifts = shifts
        guard !isExact else {
            let width = sigShape.width
            weights = .binary(
                masks.runs().map { mask in
                    mask.pixelRanges.map { range in
                        let first = range.lowerBound % width
                        return (range.lowerBound / width, first..<first + range.count)
                    }
                })
            box = (0..<sigShape.height, 0..<sigShape.width)
            return
        }
        let images = try masks.images()
        box = Self.box(images, sigShape)
        weights = isDouble ? .float64(images) : .float32(images.map { Float($0) })
    }

    private static func box(_ images: [Double], _ sig: SigShape) -> (y: Range<Int>, x: Range<Int>) {
        var (y, x) = (sig.height..<sig.height, sig.width..<sig.width)
        for index in images.indices where images[index] != 0 {
            let (row, column) = (index % sig.pixelCount / sig.width, index % sig.width)
            y = min(y.lowerBound, row)..<(y.isEmpty ? row + 1 : max(y.upperBound, row + 1))
            x = min(x.lowerBound, column)..<(x.isEmpty ? column + 1 : max(x.upperBound, column + 1))
        }
        return (y, x)
    }

    var input: InputType {
        if case .float32 = weights { .float32 } else { .native }
    }

    /// sums[frame, row of weights], as `float64`; not for masks that are added up as whole numbers.
    func multiply(_ tile: FrameTile, into sums: UnsafeMutableBufferPointer<Double>) throws {
        sums.update(repeating: 0)
        try withUnsafeTemporaryAllocation(of: Double.self, capacity: sigShape.width) { numbers in
            guard let pixels = numbers.baseAddress else { return }
            for index in 0..<tile.count {
                let own = UnsafeMutableBufferPointer(rebasing: sums[index * rowCount..<(index + 1) * rowCount])
                let frame = tile[index]
                switch weights {
                case .binary: preconditionFailure("masks that are added up as whole numbers")
                case .float32(let weights):
                    let base = frame.base.assumingMemoryBound(to: Float.self)
                    forEachRow(frame.position) { place, onFrame in
                        multiply(base + onFrame, weights, place, into: own)
                    }
                case .float64(let weights):
                    try forEachRow(frame.position) { place, onFrame in
                        try frame.copyPixels(onFrame..<onFrame + place.count, to: pixels)
                        multiply(pixels, weights, place, into: own)
                    }
                }
            }
        }
    }

    /// Calls `body` for each row of the masks that is on the frame, with the pixels of the mask and the first of those of
    /// the frame.
    @inline(__always)
    private func forEachRow(_ position: Int, _ body: (_ mask: Range<Int>, _ frame: Int) throws -> Void) rethrows {
        let (dy, dx) = shifts(position)
        let rows = box.y.clamped(to: -dy..<sigShape.height - dy)
        let columns = box.x.clamped(to: -dx..<sigShape.width - dx)
        guard !columns.isEmpty else { return }
        for row in rows {
            let first = row * sigShape.width + columns.lowerBound
            try body(first..<first + columns.count, first + dy * sigShape.width + dx)
        }
    }

    private func multiply(
        _ pixels: UnsafePointer<Float>, _ weights: [Float], _ place: Range<Int>,
        into sums: UnsafeMutableBufferPointer<Double>
    ) {
        weights.withUnsafeBufferPointer { weights in
            guard let base = weights.baseAddress else { return }
            kernels.addProducts(
                RowMatrix(base: pixels, stride: 0, rowCount: 1, columnCount: place.count),
                RowMatrix(
                    base: base + place.lowerBound, stride: sigShape.pixelCount, rowCount: rowCount,
                    columnCount: place.count),
                to: sums)
        }
    }

    private func multiply(
        _ pixels: UnsafePointer<Double>, _ weights: [Double], _ place: Range<Int>,
        into sums: UnsafeMutableBufferPointer<Double>
    ) {
        weights.withUnsafeBufferPointer { weights in
            guard let base = weights.baseAddress else { return }
            kernels.addProducts(
                RowMatrix(base: pixels, stride: 0, rowCount: 1, columnCount: place.count),
                RowMatrix(
                    base: base + place.lowerBound, stride: sigShape.pixelCount, rowCount: rowCount,
                    columnCount: place.count),
                to: sums)
        }
    }

    /// sums[frame, mask] of masks of 0 and 1, exact.
    func addUp(_ tile: FrameTile, into sums: UnsafeMutableBufferPointer<UInt64>) throws {
        guard case .binary(let masks) = weights else { preconditionFailure("masks with other weights than 0 and 1") }
        for index in 0..<tile.count {
            let frame = tile[index]
            let own = UnsafeMutableBufferPointer(rebasing: sums[index * rowCount..<(index + 1) * rowCount])
            switch frame.dtype {
            case .uint8: addUp(try frame.pixels(as: UInt8.self), frame.position, masks, own)
            case .uint16: addUp(try frame.pixels(as: UInt16.self), frame.position, masks, own)
            case .uint32: addUp(try frame.pixels(as: UInt32.self), frame.position, masks, own)
            default: addUp(try frame.pixels(as: UInt64.self), frame.position, masks, own)
            }
        }
    }

    @inline(__always)
    private func addUp<Pixel: UnsignedInteger & FixedWidthInteger>(
        _ pixels: UnsafeBufferPointer<Pixel>, _ position: Int, _ masks: [[(y: Int, x: Range<Int>)]],
        _ sums: UnsafeMutableBufferPointer<UInt64>
    ) {
        let (dy, dx) = shifts(position)
        let columns = 0..<sigShape.width
        for (mask, runs) in masks.enumerated() {
            var sum: UInt64 = 0
            for run in runs where (0..<sigShape.height).contains(run.y + dy) {
                let row = (run.y + dy) * sigShape.width
                let moved = (run.x.lowerBound + dx..<run.x.upperBound + dx).clamped(to: columns)
                // As the kernels do, sums beyond 64 bits wrap.
                for pixel in row + moved.lowerBound..<row + moved.upperBound { sum &+= UInt64(pixels[pixel]) }
            }
            sums[mask] = sum
        }
    }
}
