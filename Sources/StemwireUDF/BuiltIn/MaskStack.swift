import MerlinProtocol
import StemwireKernels

/// The masks of a request as they were given: as images, or as lists of pixels.
///
/// Complex masks are two rows of weights each, their real and their imaginary parts; other masks are one row.
struct MaskStack: Sendable {
    /// The most masks.
    private static let mostMasks = 1 << 20
    /// The most weights that are kept as images, and pixels that are kept in lists.
    static let mostWeights = 1 << 27

    enum Weights: Sendable {
        /// [row, pixel].
        case dense([Double])
        case sparse(SparseRows)
    }

    let count: Int
    /// The type of the weights.
    let dtype: DType
    let weights: Weights
    let sigShape: SigShape

    var rowCount: Int { dtype.isComplex ? 2 * count : count }

    /// - Parameter images: Shape (masks, y, x).
    init(images: ResultArray, _ meta: UDFMeta) throws {
        let sig = meta.sigShape
        let shape = images.shape
        guard shape.count == 3, shape[0] > 0, shape[1] == sig.height, shape[2] == sig.width else {
            throw UDFFailure(
                "file: an array of shape \(shape) is no stack of masks; for these frames it must have the shape "
                    + "[masks, \(sig.height), \(sig.width)]")
        }
        guard images.count <= Self.mostWeights else {
            throw UDFFailure(
                "file: \(shape[0]) masks are too many; for these frames there can be at most "
                    + "\(Self.mostWeights / sig.pixelCount)")
        }
        count = shape[0]
        dtype = images.dtype
        sigShape = sig
        let (real, imaginary) = images.parts()
        try Self.checkFinite(real, imaginary) { "file: mask \($0 / sig.pixelCount)" }
        guard let imaginary else {
            weights = .dense(real)
            return
        }
        weights = .dense(
            (0..<count).flatMap { mask in
                let own = mask * sig.pixelCount..<(mask + 1) * sig.pixelCount
                return real[own] + imaginary[own]
            })
    }

    /// - Parameters:
    ///   - coordinates: Whole numbers of the shape (3, pixels): mask, y and x of each pixel.
    ///   - values: The weights of these pixels. Of a pixel that is named twice they are added up.
    ///   - count: The number of masks; nil for as many as are named.
    init(coordinates: ResultArray, values: ResultArray, count: Int?, _ meta: UDFMeta) throws {
        let sig = meta.sigShape
        guard coordinates.shape.count == 2, coordinates.shape[0] == 3, !coordinates.dtype.isFloatingPoint,
            coordinates.dtype != .bool
        else {
            throw UDFFailure(
                "coordinates: an array of \(coordinates.dtype) \(coordinates.shape) is no list of pixels; it must hold "
                    + "whole numbers of the shape [3, pixels]: mask, y, x")
        }
        guard values.shape == [coordinates.shape[1]] else {
            throw UDFFailure(
                "values: an array of shape \(values.shape) for \(coordinates.shape[1]) pixels; it must have one value "
                    + "for each")
        }
        guard values.count <= Self.mostWeights else {
            throw UDFFailure("values: \(values.count) pixels are too many; there can be at most \(Self.mostWeights)")
        }
        let places = coordinates.doubles()
        let pixels = values.count
        let highest = places.prefix(pixels).max() ?? -1
        guard highest < Double(Self.mostMasks) else {
            throw UDFFailure("coordinates: mask \(highest) is too many; there can be at most \(Self.mostMasks)")
        }
        let named = Int(highest) + 1
        self.count = count ?? named
        guard (1...Self.mostMasks).contains(self.count), named <= self.count else {
            throw UDFFailure(
                "count: \(self.count) masks, where pixels of \(named) are given; there can be 1 to \(Self.mostMasks)")
        }
        var order: [(row: Int, pixel: Int, index: Int)] = []
        order.reserveCapacity(pixels)
        let rowsPerMask = values.dtype.isComplex ? 2 : 1
        for index in 0..<pixels {
            let (mask, y, x) = (places[index], places[pixels + index], places[2 * pixels + index])
            guard mask >= 0, y >= 0, y < Double(sig.height), x >= 0, x < Double(sig.width) else {
                throw UDFFailure(
                    "coordinates: mask \(mask), y \(y), x \(x) is no pixel of a mask for frames of \(sig.height) × "
                        + "\(sig.width) pixels")
            }
            order.append((Int(mask) * rowsPerMask, Int(y) * sig.width + Int(x), index))
        }
        order.sort { ($0.row, $0.pixel, $0.index) < ($1.row, $1.pixel, $1.index) }
        dtype = values.dtype
        sigShape = sig
        let (real, imaginary) = values.parts()
        try Self.checkFinite(real, imaginary) { "values: pixel \($0)" }
        var rows = SparseRows(isDouble: true)
        var next = order.startIndex
        for mask in 0..<self.count {
            let first = next
            while next < order.endIndex, order[next].row == mask * rowsPerMask { next += 1 }
            for part in [real] + (imaginary.map { [$0] } ?? []) {
                var place = first
                while place < next {
                    let pixel = order[place].pixel
                    var sum = 0.0
                    while place < next, order[place].pixel == pixel {
                        sum += part[order[place].index]
                        place += 1
                    }
                    if sum != 0 { rows.append(pixel, sum) }
                }
                rows.endMask()
            }
        }
        weights = .sparse(rows)
    }

    private static func checkFinite(
        _ real: [Double], _ imaginary: [Double]?, _ place: (_ index: Int) -> String
    ) throws {
        for numbers in [real] + (imaginary.map { [$0] } ?? []) {
            if let bad = numbers.firstIndex(where: { !$0.isFinite }) {
                throw UDFFailure("\(place(bad)) contains \(numbers[bad]); masks must be finite")
            }
        }
    }

    /// Whether it is made of whole numbers that are 0 or 1.
    var isBinary: Bool {
        guard !dtype.isFloatingPoint else { return false }
        switch weights {
        case .dense(let numbers): return numbers.allSatisfy { $0 == 0 || $0 == 1 }
        case .sparse(let rows):
            var isBinary = true
            for row in 0..<rows.maskCount { rows.forEach(in: row) { if $1 != 1 { isBinary = false } } }
            return isBinary
        }
    }

    /// How many weights are not 0.
    var entryCount: Int {
        switch weights {
        case .dense(let numbers): numbers.count { $0 != 0 }
        case .sparse(let rows): rows.entryCount
        }
    }

    /// The masks as images, [row, pixel].
    func images() throws -> [Double] {
        switch weights {
        case .dense(let numbers): return numbers
        case .sparse(let rows):
            guard rowCount <= Self.mostWeights / sigShape.pixelCount else {
                throw UDFFailure(
                    "\(count) masks are too many to be kept as images; for these frames there can be at most "
                        + "\(Self.mostWeights / sigShape.pixelCount * count / rowCount)")
            }
            var numbers = [Double](repeating: 0, count: rowCount * sigShape.pixelCount)
            for row in 0..<rowCount {
                rows.forEach(in: row) { numbers[row * sigShape.pixelCount + $0] = $1 }
            }
            return numbers
        }
    }

    /// The masks as lists of pixels, in `float64`.
    func lists() -> SparseRows {
        switch weights {
        case .sparse(let rows): return rows
        case .dense(let numbers):
            var rows = SparseRows(isDouble: true)
            for row in 0..<rowCount {
                for pixel in 0..<sigShape.pixelCount {
                    let weight = numbers[row * sigShape.pixelCount + pixel]
                    if weight != 0 { rows.append(pixel, weight) }
                }
                rows.endMask()
            }
            return rows
        }
    }

    /// Masks of 0 and 1, as runs of pixels.
    func runs() -> [RunLengthMask] {
        (0..<count).map { mask in
            switch weights {
            case .dense(let numbers):
                let first = mask * sigShape.pixelCount
                return RunLengthMask(sigShape: sigShape) { numbers[first + $0 * sigShape.width + $1] != 0 }
            case .sparse(let rows):
                var isIn = [Bool](repeating: false, count: sigShape.pixelCount)
                rows.forEach(in: mask) { pixel, _ in isIn[pixel] = true }
                return RunLengthMask(sigShape: sigShape) { isIn[$0 * sigShape.width + $1] }
            }
        }
    }
}

extension ResultArray {
    /// The numbers, or their real and imaginary parts.
    fileprivate func parts() -> (real: [Double], imaginary: [Double]?) {
        switch dtype {
        case .complex64:
            withElements(as: Complex64.self) { ($0.map { Double($0.real) }, $0.map { Double($0.imaginary) }) }
        case .complex128: withElements(as: Complex128.self) { ($0.map(\.real), $0.map(\.imaginary)) }
        default: (doubles(), nil)
        }
    }
}
