/// A colour map: a value from 0 to 1 becomes red, green and blue.
public enum ColourMap: String, Sendable, CaseIterable {
    /// Perceptually uniform, from dark violet to yellow.
    case viridis
    case grey

    // Eleven equal steps of matplotlib's viridis (released to the public domain by its authors).
    private static let viridisSteps: [(Float, Float, Float)] = [
        (0x44, 0x01, 0x54), (0x48, 0x24, 0x75), (0x41, 0x44, 0x87), (0x35, 0x5F, 0x8D), (0x2A, 0x78, 0x8E),
        (0x21, 0x90, 0x8D), (0x22, 0xA8, 0x84), (0x42, 0xBE, 0x71), (0x7A, 0xD1, 0x51), (0xBD, 0xDF, 0x26),
        (0xFD, 0xE7, 0x25),
    ]

    /// The colour of `value`; values outside 0 … 1 and NaN take the colour of the nearer end (NaN: of 0).
    public func colour(of value: Float) -> (red: UInt8, green: UInt8, blue: UInt8) {
        let value = value.isNaN ? 0 : min(max(value, 0), 1)
        switch self {
        case .grey:
            let level = UInt8((value * 255).rounded())
            return (level, level, level)
        case .viridis:
            let place = value * Float(Self.viridisSteps.count - 1)
            let index = min(Int(place), Self.viridisSteps.count - 2)
            let share = place - Float(index)
            let (low, high) = (Self.viridisSteps[index], Self.viridisSteps[index + 1])
            let mix = { (a: Float, b: Float) in UInt8((a + (b - a) * share).rounded()) }
            return (mix(low.0, high.0), mix(low.1, high.1), mix(low.2, high.2))
        }
    }
}
