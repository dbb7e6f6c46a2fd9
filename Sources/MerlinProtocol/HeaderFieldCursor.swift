/// Walks over the comma-separated fields of a header text, without copying.
///
/// The text ends at the first NUL or line end, or at `limit`. All reads are bounded by `limit`, which must not exceed
/// the buffer's size: the subscript of an unsafe buffer is unchecked in release builds.
struct HeaderFieldCursor {
    let bytes: UnsafeRawBufferPointer
    let limit: Int
    /// First byte of the next field.
    private(set) var position = 0
    private(set) var isAtEnd = false

    init(_ bytes: UnsafeRawBufferPointer, limit: Int) {
        self.bytes = bytes
        self.limit = min(limit, bytes.count)
    }

    /// The next field with surrounding blanks removed, or nil behind the last. `isClosed` tells whether a comma follows.
    @inline(__always)
    mutating func next() -> (field: Range<Int>, isClosed: Bool)? {
        guard !isAtEnd else { return nil }
        var start = position
        var index = start
        var isClosed = false
        while index < limit {
            let byte = bytes[index]
            if byte == UInt8(ascii: ",") {
                isClosed = true
                break
            }
            if byte == 0 || byte == 0x0A || byte == 0x0D { break }
            index &+= 1
        }
        isAtEnd = !isClosed
        position = isClosed ? index &+ 1 : index
        var end = index
        while start < end, bytes[start] == UInt8(ascii: " ") { start &+= 1 }
        while start < end, bytes[end &- 1] == UInt8(ascii: " ") { end &-= 1 }
        return (start..<end, isClosed)
    }

    /// The field as a decimal number of ASCII digits; nil for anything else and for more than 64 bits.
    @inline(__always)
    func decimal(_ field: Range<Int>) -> UInt64? {
        guard !field.isEmpty else { return nil }
        var value: UInt64 = 0
        for index in field {
            let digit = bytes[index] &- UInt8(ascii: "0")
            guard digit <= 9 else { return nil }
            // 19 digits always fit; the checked steps are for longer fields.
            if index &- field.lowerBound < 19 {
                value = value &* 10 &+ UInt64(digit)
            } else {
                let (tenfold, overflow) = value.multipliedReportingOverflow(by: 10)
                let (sum, carry) = tenfold.addingReportingOverflow(UInt64(digit))
                guard !overflow, !carry else { return nil }
                value = sum
            }
        }
        return value
    }

    /// The field as a hexadecimal number of up to 32 bits.
    @inline(__always)
    func hexadecimal(_ field: Range<Int>) -> UInt32? {
        guard !field.isEmpty else { return nil }
        var value: UInt32 = 0
        for index in field {
            guard value < 1 << 28 else { return nil }
            let byte = bytes[index]
            let digit: UInt8
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte &- UInt8(ascii: "0")
            case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = byte &- UInt8(ascii: "A") &+ 10
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte &- UInt8(ascii: "a") &+ 10
            default: return nil
            }
            value = value << 4 | UInt32(digit)
        }
        return value
    }

    @inline(__always)
    func equals(_ field: Range<Int>, _ text: StaticString) -> Bool {
        guard field.count == text.utf8CodeUnitCount else { return false }
        for index in 0..<field.count where bytes[field.lowerBound &+ index] != text.utf8Start[index] { return false }
        return true
    }

    /// The field as text, every byte one character (Latin-1).
    func text(_ field: Range<Int>) -> String {
        String(String.UnicodeScalarView(field.map { Unicode.Scalar(bytes[$0]) }))
    }
}
