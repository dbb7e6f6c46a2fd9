import StemwirePictures

/// A colour map: a value from 0 to 1 becomes red, green and blue.
public enum ColourMap: String, Sendable, CaseIterable {
    /// Perceptually uniform, from dark violet to yellow.
    case viridis
    case grey

    /// The colour of `value`; values outside 0 … 1 and NaN take the colour of the nearer end (NaN: of 0).
    public func colour(of value: Float) -> (red: UInt8, green: UInt8, blue: UInt8) {
        guard let table = ColourTables.table(rawValue) else { return (0, 0, 0) }
        let value = value.isNaN ? 0 : min(max(value, 0), 1)
        let place = table.startIndex + 3 * Int((value * 255).rounded())
        return (table[place], table[place + 1], table[place + 2])
    }
}
