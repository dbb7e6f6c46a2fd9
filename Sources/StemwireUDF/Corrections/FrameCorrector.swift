import MerlinProtocol
import StemwireKernels

/// Corrections that fit the frames of an acquisition, as numbers that are ready to be used. For any number of threads.
struct FrameCorrector: Sendable {
    /// The type of corrected pixels: `float32` or `float64`.
    let dtype: DType
    private let dark: [Double]?
    private let gain: [Double]?
    private let repairs: [Repair]

    /// An excluded pixel, and those whose mean it becomes, in the order of the frame.
    private struct Repair: Sendable {
        let pixel: Int
        let neighbours: [Int]
    }

    /// - Parameters:
    ///   - sigShape: The size of the frames.
    ///   - pixels: The type of the frames' pixels.
    init(_ corrections: Corrections, _ sigShape: SigShape, _ pixels: DType) throws(CorrectionsError) {
        guard pixels != .bool, !pixels.isComplex else { throw .pixels(pixels) }
        dtype = Corrections.dtype(of: pixels)
        let excluded = try Self.places(corrections.excluded, sigShape)
        for (what, image) in [("the dark frame", corrections.dark), ("the gain map", corrections.gain)] {
            if let image { try Self.check(image, what, sigShape, excluded: excluded) }
        }
        dark = corrections.dark?.doubles()
        gain = corrections.gain?.doubles()
        repairs = try Self.repairs(excluded, sigShape, keepsIsolated: corrections.keepsIsolatedPixels)
    }

    private static func places(
        _ excluded: ExcludedPixels?, _ sigShape: SigShape
    ) throws(CorrectionsError) -> Set<Int> {
        guard let excluded else { return [] }
        if let shape = excluded.shape, shape != sigShape {
            throw .size("the mask of excluded pixels", found: shape, frames: sigShape)
        }
        let (rows, columns) = (0..<sigShape.height, 0..<sigShape.width)
        if let bad = excluded.pixels.first(where: { !rows.contains($0.y) || !columns.contains($0.x) }) {
            throw .outside(bad, frames: sigShape)
        }
        return Set(excluded.pixels.map { $0.y * sigShape.width + $0.x })
    }

    private static func check(
        _ image: ResultArray, _ what: String, _ sigShape: SigShape, excluded: Set<Int>
    ) throws(CorrectionsError) {
        guard image.shape.count == 2 else { throw .noImage(what, shape: image.shape) }
        guard image.shape == [sigShape.height, sigShape.width] else {
            throw .size(what, found: SigShape(height: image.shape[0], width: image.shape[1]), frames: sigShape)
        }
        guard image.dtype != .bool, !image.dtype.isComplex else { throw .notReal(what, image.dtype) }
        // A gain map that was divided by what dead pixels count is infinite there, which does no harm.
        for (index, value) in image.doubles().enumerated() where !value.isFinite && !excluded.contains(index) {
            throw .notFinite(
                what, at: DetectorPixel(y: index / sigShape.width, x: index % sigShape.width), value: value)
        }
    }

    private static func repairs(
        _ excluded: Set<Int>, _ sigShape: SigShape, keepsIsolated: Bool
    ) throws(CorrectionsError) -> [Repair] {
        var repairs: [Repair] = []
        var isolated: [DetectorPixel] = []
        for pixel in excluded.sorted() {
            let (y, x) = (pixel / sigShape.width, pixel % sigShape.width)
            let rows = max(y - 1, 0)...min(y + 1, sigShape.height - 1)
            let columns = max(x - 1, 0)...min(x + 1, sigShape.width - 1)
            let neighbours = rows.flatMap { row in columns.map { row * sigShape.width + $0 } }.filter {
                !excluded.contains($0)
            }
            if neighbours.isEmpty {
                isolated.append(DetectorPixel(y: y, x: x))
            } else {
                repairs.append(Repair(pixel: pixel, neighbours: neighbours))
            }
        }
        guard isolated.isEmpty || keepsIsolated else { throw .isolated(isolated) }
        return repairs
    }

    /// Corrects one frame in place.
    ///
    /// - Precondition: `Pixel` is of the type `dtype`, and the frame has the size the corrector was made for.
    func correct<Pixel: ResultElement & BinaryFloatingPoint>(_ frame: UnsafeMutableBufferPointer<Pixel>) {
        Self.apply(dark, gain, to: frame)
        for repair in repairs {
            var sum = 0.0
            for neighbour in repair.neighbours { sum += Double(frame[neighbour]) }
            frame[repair.pixel] = Pixel(sum / Double(repair.neighbours.count))
        }
    }

    /// As LiberTEM, in `float64`, rounded once.
    @inline(__always)
    private static func apply<Pixel: BinaryFloatingPoint>(
        _ dark: [Double]?, _ gain: [Double]?, to frame: UnsafeMutableBufferPointer<Pixel>
    ) {
        let count = frame.count
        switch (dark, gain) {
        case (nil, nil): break
        case (let dark?, nil):
            dark.withUnsafeBufferPointer { dark in
                precondition(dark.count == count, "a dark frame of another size than the frame")
                for index in 0..<count { frame[index] = Pixel(Double(frame[index]) - dark[index]) }
            }
        case (nil, let gain?):
            gain.withUnsafeBufferPointer { gain in
                precondition(gain.count == count, "a gain map of another size than the frame")
                for index in 0..<count { frame[index] = Pixel(Double(frame[index]) * gain[index]) }
            }
        case (let dark?, let gain?):
            dark.withUnsafeBufferPointer { dark in
                gain.withUnsafeBufferPointer { gain in
                    precondition(dark.count == count && gain.count == count, "corrections of another size")
                    for index in 0..<count {
                        frame[index] = Pixel((Double(frame[index]) - dark[index]) * gain[index])
                    }
                }
            }
        }
    }
}
