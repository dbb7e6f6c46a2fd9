import Glibc
import StemwireKernels

extension CentreOfMassUDF {
    /// Parameters of `com` that were guessed from a scan.
    public struct Corrections: Sendable, Hashable {
        /// Degrees, −179 … 180.
        public var scanRotation: Int
        public var flipY: Bool
        /// The mean of the centres: where the centre of a frame without deflection lies.
        public var cy: Double
        public var cx: Double

        /// `com` with these corrections over the whole frame.
        public var parameters: Parameters {
            Parameters(cy: cy, cx: cx, scanRotation: Double(scanRotation), flipY: flipY)
        }
    }

    /// Guesses the rotation of the scan against the detector, the detector's handedness and its centre from centres of
    /// mass.
    ///
    /// Taken for granted is a field of atoms, seen in atomic resolution: it is purely electrostatic, so the right
    /// rotation and handedness leave the least curl (root of the mean square, in steps of one degree); the beam is
    /// drawn towards the nuclei, strongly and at few positions, so of the two opposite rotations the right one gives
    /// the divergence its longer tail on the negative side; and the mean deflection is zero. This is LiberTEM's
    /// `guess_corrections`; of two opposite rotations with equal tails, the one in 0 … 179 is returned.
    ///
    /// Corrections that the centres contain already are not undone: what is returned adds to them.
    ///
    /// - Parameters:
    ///   - centres: `raw_com` or another channel of vectors (y, x): real, of shape (rows, columns, 2). Positions that
    ///     are NaN, or whose neighbours are, are left out.
    ///   - roi: The positions that count; all but the last row and column when nil, since these are distorted by
    ///     fly-back.
    /// - Throws: `UDFError` when the array has another shape, or no positions are left.
    public static func guessCorrections(
        _ centres: ResultArray, roi: PositionSet? = nil
    ) throws(UDFError) -> Corrections {
        guard centres.shape.count == 3, centres.shape[2] == 2, !centres.dtype.isComplex else {
            throw UDFError(
                .badRequest, udf: name, "the centres are \(centres.dtype) of shape \(centres.shape), not (y, x, 2)")
        }
        var field = VectorField(rows: centres.shape[0], columns: centres.shape[1])
        let values = centres.doubles()
        for position in field.y.indices {
            field.y[position] = values[2 * position]
            field.x[position] = values[2 * position + 1]
        }
        if let roi, roi.size != field.y.count {
            throw UDFError(
                .badRequest, udf: name,
                "the region of interest has \(roi.size) scan positions, the centres are \(field.y.count)")
        }
        let selected = field.y.indices.filter { position in
            roi?.contains(position)
                ?? (position / field.columns < field.rows - 1 && position % field.columns < field.columns - 1)
        }
        let known = selected.filter { !field.y[$0].isNaN && !field.x[$0].isNaN }
        let angles = [false, true].map { leastCurl(field, selected, flipY: $0) }
        guard let straight = angles[0], let flipped = angles[1], !known.isEmpty else {
            throw UDFError(
                .badRequest, udf: name,
                "no scan position with all its neighbours is left to guess from; it takes two rows and columns"
            )
        }
        let flipY = flipped.curl < straight.curl
        var angle = flipY ? flipped.angle : straight.angle
        field.turn(degrees: Double(angle), flipY: flipY)
        if hasTailOfSources(selected.map { field.slopes(at: $0).divergence }.filter { !$0.isNaN }) { angle += 180 }
        return Corrections(
            scanRotation: angle > 180 ? angle - 360 : angle, flipY: flipY,
            cy: known.reduce(0) { $0 + values[2 * $1] } / Double(known.count),
            cx: known.reduce(0) { $0 + values[2 * $1 + 1] } / Double(known.count))
    }

    /// The angle in 0 … 179 degrees that leaves the least mean square of the curl; the opposite one leaves as much.
    private static func leastCurl(
        _ field: VectorField, _ positions: [Int], flipY: Bool
    ) -> (angle: Int, curl: Double)? {
        // The curl of the turned field is cos · a + sin · b, a the curl of the field and b that of the field turned by
        // 90°.
        var straight = field
        straight.turn(degrees: 0, flipY: flipY)
        var turned = VectorField(rows: field.rows, columns: field.columns)
        turned.y = straight.x
        turned.x = straight.y.map { -$0 }
        var squares = (a: 0.0, ab: 0.0, b: 0.0)
        var count = 0
        for position in positions {
            let a = straight.slopes(at: position).curl
            let b = turned.slopes(at: position).curl
            guard !a.isNaN, !b.isNaN else { continue }
            squares = (squares.a + a * a, squares.ab + a * b, squares.b + b * b)
            count += 1
        }
        guard count > 0 else { return nil }
        var best = (angle: 0, curl: Double.infinity)
        for angle in 0..<180 {
            let (cosine, sine) = (cos(Double(angle) * .pi / 180), sin(Double(angle) * .pi / 180))
            let square = cosine * cosine * squares.a + 2 * cosine * sine * squares.ab + sine * sine * squares.b
            let curl = (max(square, 0) / Double(count)).squareRoot()
            if curl < best.curl { best = (angle, curl) }
        }
        return best
    }

    /// Whether more positions are near the positive end of the divergence's range than near the negative one: in the
    /// outermost of five equal parts of ±(largest absolute value).
    private static func hasTailOfSources(_ divergence: [Double]) -> Bool {
        let range = divergence.reduce(0) { max($0, abs($1)) }
        guard range > 0 else { return false }
        let sinks = divergence.count { $0 < -0.6 * range }
        return sinks < divergence.count { $0 >= 0.6 * range }
    }
}
