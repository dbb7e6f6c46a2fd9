import MerlinProtocol

/// Writes frame headers as the detector does, and renumbers those of recorded frames.
public struct FrameHeaderText: Sendable {
    public let format: DetectorFormat
    /// Counter 0 or 1.
    public var counter = 0
    public var gain = GainMode.superLow
    /// Threshold energies in keV, eight of them.
    public var thresholds = [2.0, 511, 0, 0, 0, 0, 0, 0]
    /// Time that the shutter is open, in nanoseconds.
    public var shutterNanoseconds = 1_000_000
    /// Whether thresholds and chip settings are written; software of 2017 leaves them out of raw frames' headers.
    public var hasChipSettings = true
    /// Whether there is an `MQ1A` part, which old firmware has not.
    public var hasExtension = true

    public init(_ format: DetectorFormat) {
        self.format = format
    }

    /// A chip's 27 settings: the first two follow the thresholds, the rest are a real detector's.
    static let chipSettings =
        "011,511,000,000,000,000,000,000,175,010,200,125,100,100,093,100,099,030,128,004,255,140,128,191,179,511,511"

    /// A header ready to be stamped for each frame.
    public struct Template: Sendable {
        /// The header of frame 1, NUL-padded to the data offset.
        public let bytes: [UInt8]
        let localTimeOffset: Int
        let utcTimeOffset: Int?

        /// Writes the header of one frame.
        ///
        /// - Parameter body: at least the data offset's bytes; what follows is not touched.
        public func write(sequenceNumber: UInt64, time: CivilTime, into body: UnsafeMutableRawBufferPointer) {
            let header = UnsafeMutableRawBufferPointer(rebasing: body[..<bytes.count])
            bytes.withUnsafeBytes { header.copyMemory(from: $0) }
            time.writeLocal(into: UnsafeMutableRawBufferPointer(rebasing: header[localTimeOffset...]))
            if let utcTimeOffset {
                time.writeUTC(into: UnsafeMutableRawBufferPointer(rebasing: header[utcTimeOffset...]))
            }
            _ = FrameHeaderText.renumber(header, to: sequenceNumber)
        }
    }

    /// The header of all frames but for number and time.
    public func template() -> Template {
        let shape = format.headerShape
        let layout = format.layout.description
        var fields = [
            "MQ1", padded(1, 6), padded(format.dataOffset, 5), padded(format.chipCount, 2), padded(shape.width, 4),
            padded(shape.height, 4), format.pixelType.rawValue,
            String(repeating: " ", count: max(0, 6 - layout.count)) + layout, chipMask,
        ]
        let localTimeOffset = fields.joined(separator: ",").utf8.count + 1
        fields += [
            String(repeating: "0", count: 26), sixDecimals(Double(shutterNanoseconds) / 1e9), String(counter), "0",
            String(gain.rawValue),
        ]
        if hasChipSettings {
            fields += thresholds.map(scientific)
            fields += Array(repeating: "3RX," + Self.chipSettings, count: format.chipCount)
        } else {
            fields.append("")
        }
        var utcTimeOffset: Int?
        if hasExtension {
            fields.append("MQ1A")
            utcTimeOffset = fields.joined(separator: ",").utf8.count + 1
            fields += [
                String(repeating: "0", count: 30), "\(shutterNanoseconds)ns", String(format.counterDepth.rawValue),
            ]
        }
        var bytes = Array((fields.joined(separator: ",") + ",").utf8)
        precondition(bytes.count < format.dataOffset, "the header text does not fit its \(format.dataOffset) bytes")
        bytes += Array(repeating: 0, count: format.dataOffset - bytes.count)
        return Template(bytes: bytes, localTimeOffset: localTimeOffset, utcTimeOffset: utcTimeOffset)
    }

    private var chipMask: String {
        let text = String(format.chipSelect, radix: 16, uppercase: true)
        return text.count < 2 ? "0" + text : text
    }

    /// Writes another sequence number into a frame header: six digits, more from 1 000 000 on.
    ///
    /// A number that grows or shrinks moves the text behind it and takes from, or gives to, the padding, so that the
    /// message keeps its size and its data offset.
    ///
    /// - Parameter header: from `MQ1` to the data offset or further.
    /// - Returns: false when it is no such header or its padding has no room; then nothing is changed.
    public static func renumber(_ header: UnsafeMutableRawBufferPointer, to number: UInt64) -> Bool {
        var comma = 4
        while comma < header.count, header[comma] != UInt8(ascii: ",") { comma &+= 1 }
        guard comma < header.count, comma > 4, comma < 25, header[3] == UInt8(ascii: ",") else { return false }
        var digits = 6
        var rest = number / 1_000_000
        while rest > 0 {
            digits &+= 1
            rest /= 10
        }
        if digits != comma &- 4 {
            guard move(header, comma: comma, by: digits &- (comma &- 4)) else { return false }
        }
        var value = number
        var index = 3 &+ digits
        while index >= 4 {
            header[index] = UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: value % 10)
            value /= 10
            index &-= 1
        }
        return true
    }

    private static func move(_ header: UnsafeMutableRawBufferPointer, comma: Int, by shift: Int) -> Bool {
        var offset = 0
        var index = comma + 1
        while index < header.count, header[index] != UInt8(ascii: ","), offset < 1 << 20 {
            let digit = header[index] &- UInt8(ascii: "0")
            guard digit <= 9 else { return false }
            offset = offset * 10 + Int(digit)
            index += 1
        }
        guard offset > comma, offset <= header.count, let base = header.baseAddress else { return false }
        if shift > 0 {
            for padding in (offset - shift)..<offset where header[padding] != 0 { return false }
            (base + comma + shift).copyMemory(from: base + comma, byteCount: offset - shift - comma)
        } else {
            (base + comma + shift).copyMemory(from: base + comma, byteCount: offset - comma)
            for padding in (offset + shift)..<offset { header[padding] = 0 }
        }
        return true
    }
}
