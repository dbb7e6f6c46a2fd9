extension PositionSet {
    /// One bit a position: position p in bit p mod 8 (lowest first) of byte p div 8; unused bits are 0.
    public var bitmap: [UInt8] {
        var bytes = [UInt8](repeating: 0, count: (size + 7) / 8)
        for run in ranges {
            let (first, last) = (run.lowerBound / 8, (run.upperBound - 1) / 8)
            for byte in first...last {
                let from = max(run.lowerBound - byte * 8, 0)
                let to = min(run.upperBound - byte * 8, 8)
                bytes[byte] |= UInt8(truncatingIfNeeded: (1 << to) - (1 << from))
            }
        }
        return bytes
    }
}
