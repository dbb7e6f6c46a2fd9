/// The whole header of a frame message.
///
/// Fields behind the sensor layout are found by commas and marks, never by offset: thresholds and DACs may be missing
/// (software 0.67), an `OPT1` … `END1` block may stand between them, and the `MQ1A` part is wherever its mark is.
/// For one frame in a while, not for every frame of a stream: that is what ``FrameHeaderFields`` is for.
public struct FrameHeader: Sendable, Hashable {
    /// The DAC settings of one chip.
    public struct ChipSettings: Sendable, Hashable {
        /// The chip's type, such as `3RX`.
        public var chipType: String
        /// 27 values in the manual's order: TH0…TH7, Preamp, Ikrum, Shaper, Disc, … TPRefB.
        public var dacs: [Int]
    }

    /// The part behind the mark `MQ1A`; absent with old firmware.
    public struct Extended: Sendable, Hashable {
        /// UTC time with nine decimals and `Z`, as written.
        public var utcTime: String
        /// Shutter time in nanoseconds, written with the unit `ns` or `nS`.
        public var shutterNanoseconds: UInt64?
        public var counterDepth: CounterDepth?
    }

    public var fields: FrameHeaderFields
    /// The detector computer's local time, `YYYY-MM-DD hh:mm:ss.ffffff`, as written.
    public var localTime: String
    /// Shutter time in seconds.
    public var shutterSeconds: Double?
    /// Counter 0 or 1; in colour mode the colour layer 0–7. In recordings with alternating counters, raw frames run
    /// 0, 1, 0, 1 and processed ones stay 0.
    public var counter: Int?
    /// Whether the frame is one layer of a colour (multi-threshold) image.
    public var isColour: Bool?
    public var gain: GainMode?
    /// Thresholds in keV, up to eight; empty where the header has none.
    public var thresholds: [Double]
    /// One entry for each chip; empty where the header has none.
    public var chips: [ChipSettings]
    /// The fields between the marks `OPT1` and `END1`, as written; empty without such a block.
    public var optionalBlock: [String]
    public var extended: Extended?

    /// Longest header looked at: eight times that of a row of 32 chips.
    private static let maximumBytes = 1 << 15

    /// Reads a frame's header.
    ///
    /// - Parameter body: the message from `MQ1,` on, at least up to its pixels. Its bytes may be anything.
    public static func parse(_ body: UnsafeRawBufferPointer) throws(FrameHeaderError) -> FrameHeader {
        let fields = try FrameHeaderFields.parse(body)
        var cursor = HeaderFieldCursor(body, limit: min(fields.dataOffset, maximumBytes))
        for _ in 0..<9 { _ = cursor.next() }
        var header = FrameHeader(
            fields: fields, localTime: "", shutterSeconds: nil, counter: nil, isColour: nil, gain: nil,
            thresholds: [], chips: [], optionalBlock: [], extended: nil)
        if let (time, _) = cursor.next() { header.localTime = cursor.text(time) }
        if let (shutter, _) = cursor.next(), !shutter.isEmpty {
            guard let seconds = Double(cursor.text(shutter)), seconds.isFinite else { throw .malformed(.shutterTime) }
            header.shutterSeconds = seconds
        }
        header.counter = try optionalNumber(&cursor, .counter)
        header.isColour = try optionalNumber(&cursor, .colourMode).map { $0 != 0 }
        if let gain = try optionalNumber(&cursor, .gain) {
            guard let mode = GainMode(rawValue: gain) else { throw .outOfRange(.gain) }
            header.gain = mode
        }
        try header.readSettings(&cursor)
        return header
    }

    /// Reads what comes behind the gain mode.
    private mutating func readSettings(_ cursor: inout HeaderFieldCursor) throws(FrameHeaderError) {
        var isInOptionalBlock = false
        while let (field, _) = cursor.next() {
            if cursor.equals(field, "MQ1A") {
                extended = try Self.extended(&cursor)
                return
            } else if cursor.equals(field, "OPT1") {
                isInOptionalBlock = true
            } else if cursor.equals(field, "END1") {
                isInOptionalBlock = false
            } else if isInOptionalBlock {
                optionalBlock.append(cursor.text(field))
            } else if !field.isEmpty {
                readSetting(cursor.text(field))
            }
        }
    }

    /// A number is a threshold, or behind a chip type one of that chip's DACs; any other text is a chip type.
    private mutating func readSetting(_ text: String) {
        if let value = Double(text), value.isFinite {
            if chips.isEmpty {
                if thresholds.count < 8 { thresholds.append(value) }
            } else if let dac = Int(text) {
                chips[chips.count - 1].dacs.append(dac)
            }
        } else if chips.count < fields.chipCount {
            chips.append(ChipSettings(chipType: text, dacs: []))
        }
    }

    private static func extended(_ cursor: inout HeaderFieldCursor) throws(FrameHeaderError) -> Extended {
        var extended = Extended(utcTime: "", shutterNanoseconds: nil, counterDepth: nil)
        if let (time, _) = cursor.next() { extended.utcTime = cursor.text(time) }
        if let (shutter, _) = cursor.next() {
            extended.shutterNanoseconds = nanoseconds(cursor, shutter)
        }
        extended.counterDepth = try depth(&cursor)
        return extended
    }

    /// An integer with the suffix `ns`, in colour mode of software 0.65 `nS`.
    private static func nanoseconds(_ cursor: HeaderFieldCursor, _ field: Range<Int>) -> UInt64? {
        guard field.count > 2, cursor.bytes[field.upperBound - 2] | 0x20 == UInt8(ascii: "n"),
            cursor.bytes[field.upperBound - 1] | 0x20 == UInt8(ascii: "s")
        else { return cursor.decimal(field) }
        return cursor.decimal(field.lowerBound..<field.upperBound - 2)
    }

    private static func depth(_ cursor: inout HeaderFieldCursor) throws(FrameHeaderError) -> CounterDepth? {
        guard let (field, _) = cursor.next(), !field.isEmpty else { return nil }
        guard let number = cursor.decimal(field), number <= 24, let depth = CounterDepth(rawValue: Int(number)) else {
            throw .malformed(.counterDepth)
        }
        return depth
    }

    private static func optionalNumber(
        _ cursor: inout HeaderFieldCursor, _ name: FrameHeaderField
    ) throws(FrameHeaderError) -> Int? {
        guard let (field, _) = cursor.next(), !field.isEmpty else { return nil }
        guard let value = cursor.decimal(field) else { throw .malformed(name) }
        guard value <= UInt64(UInt8.max) else { throw .outOfRange(name) }
        return Int(value)
    }

    /// The counter depth of the `MQ1A` part alone, without allocation; nil where there is none.
    static func counterDepth(
        in body: UnsafeRawBufferPointer, dataOffset: Int
    ) throws(FrameHeaderError) -> CounterDepth? {
        var cursor = HeaderFieldCursor(body, limit: min(dataOffset, maximumBytes))
        while let (field, _) = cursor.next() {
            guard cursor.equals(field, "MQ1A") else { continue }
            _ = cursor.next()
            _ = cursor.next()
            return try depth(&cursor)
        }
        return nil
    }
}

/// The gain of the pixel amplifiers.
public enum GainMode: Int, Sendable, Hashable, CaseIterable, Codable {
    /// Super low gain.
    case superLow = 0
    case low = 1
    case high = 2
    /// Super high gain.
    case superHigh = 3
}
