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

    /// Reads the form that `bitmap` has, as the other initialiser.
    package init?(bitmap: [UInt8], size: Int) {
        guard let set = bitmap.withUnsafeBytes({ PositionSet(bitmap: $0, size: size) }) else { return nil }
        self = set
    }

    /// Reads the form that `bitmap` has.
    ///
    /// - Returns: nil when there are not exactly the bytes for `size` positions, or an unused bit is set.
    package init?(bitmap: UnsafeRawBufferPointer, size: Int) {
        guard size >= 0, bitmap.count == (size + 7) / 8 else { return nil }
        if size % 8 != 0, let last = bitmap.last, last >> UInt8(size % 8) != 0 { return nil }
        self.init(size: size)
        for (index, byte) in bitmap.enumerated() {
            var rest = byte
            while rest != 0 {
                let first = rest.trailingZeroBitCount
                let count = (~(rest >> UInt8(first))).trailingZeroBitCount
                insert(index * 8 + first..<index * 8 + first + count)
                rest &= first + count < 8 ? UInt8.max << UInt8(first + count) : 0
            }
        }
    }
}
