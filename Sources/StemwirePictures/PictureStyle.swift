import Glibc

/// How numbers become a picture.
public struct PictureStyle: Sendable, Equatable {
    /// One of ``ColourTables/names``.
    public var colours: String
    /// ln(1 + value − lower limit) in place of the value: for diffraction patterns.
    public var isLogarithmic: Bool
    /// This share of the values at each end does not count for the limits.
    public var outlierShare: Double

    public init(colours: String = "viridis", isLogarithmic: Bool = false, outlierShare: Double = 0.001) {
        self.colours = colours
        self.isLogarithmic = isLogarithmic
        self.outlierShare = outlierShare
    }

    /// The colour of what is no number, or has no value.
    public static let noValue: UInt8 = 0x30

    /// Red, green and blue of each value; what is no number is dark grey. Nil for an unknown colour map.
    ///
    /// - Parameter valid: where there is a value; the rest is drawn dark grey and does not count for the limits. Nil:
    ///   everywhere.
    public func rgb<Value: BinaryFloatingPoint>(_ values: [Value], valid: [Bool]? = nil) -> [UInt8]? {
        guard let table = ColourTables.table(colours) else { return nil }
        let shown = values.indices.filter { (valid?[$0] ?? true) && values[$0].isFinite }
        let (low, high) = Self.limits(shown.map { Double(values[$0]) }, outlierShare: outlierShare)
        let level: (Double) -> Double = isLogarithmic ? { log1p(max(0, $0 - low)) } : { $0 - low }
        let top = level(high)
        var rgb = [UInt8](repeating: Self.noValue, count: 3 * values.count)
        for index in shown {
            let share = top > 0 ? min(max(level(Double(values[index])) / top, 0), 1) : 0.5
            let colour = table.startIndex + 3 * Int((share * 255).rounded())
            for part in 0..<3 { rgb[3 * index + part] = table[colour + part] }
        }
        return rgb
    }

    /// A PNG file, first row on top. Nil for an unknown colour map, or sides that are no picture's.
    public func png<Value: BinaryFloatingPoint>(_ values: [Value], rows: Int, columns: Int) -> [UInt8]? {
        rgb(values).flatMap { PNGFile.encode(rgb: $0, width: columns, height: rows) }
    }

    /// The limits to draw between, without `outlierShare` of the values at each end.
    public static func limits(_ values: [Double], outlierShare: Double) -> (low: Double, high: Double) {
        guard !values.isEmpty else { return (0, 0) }
        let sorted = values.sorted()
        let cut = min(Int(Double(sorted.count) * outlierShare), (sorted.count - 1) / 2)
        return (sorted[cut], sorted[sorted.count - 1 - cut])
    }
}
