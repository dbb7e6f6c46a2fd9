/// The text that the detector sends on the data socket when it is armed; the same text as the `.hdr` file's.
///
/// - **A12** It may have any size. Real ones have 2048 bytes, simulators send what they like.
/// - **A14** Keys differ between versions and may lack their colon; what cannot be read is a warning, never an error,
///   and the text is kept as it came.
/// - **A15** Zero frames in the acquisition mean that it lasts until it is stopped.
public struct AcquisitionHeader: Sendable {
    /// One line: key without its colon, value; both trimmed.
    public struct Entry: Sendable, Hashable {
        public var key: String
        public var value: String
    }

    /// Largest text accepted.
    public static let maximumBytes = 1 << 20
    /// Most lines looked at.
    private static let maximumLines = 4096

    /// The message's body as it came, from `HDR,` to its last padding byte.
    public let text: [UInt8]
    /// All lines with a key, in their order. Where a key occurs twice, look-ups give the first.
    public let entries: [Entry]
    /// What could not be read, for people.
    public let warnings: [String]

    /// Frames in the acquisition; 0: until stopped. nil where the header does not tell.
    public let framesInAcquisition: UInt64?
    public let framesPerTrigger: UInt64?
    public let counterDepth: CounterDepth?
    /// Scan positions along the fast axis (x), in newer software.
    public let scanX: Int?
    /// Scan positions along the slow axis (y), in newer software.
    public let scanY: Int?
    public let sensorLayout: SensorLayout?

    /// Whether the acquisition lasts until it is stopped (A15).
    public var isUnbounded: Bool { framesInAcquisition == 0 }

    /// The value of a key: of the first key spelled so, else of the first that differs only in case, blanks or in
    /// what stands in brackets (`Frames in Acquisition` finds `Frames in Acquisition (Number)`).
    public subscript(key: String) -> String? {
        Self.value(of: key, in: entries)
    }

    /// Reads the body of an acquisition header message, or a `.hdr` file.
    ///
    /// - Parameter body: from `HDR` on. Its bytes may be anything: Latin-1 and UTF-8 are understood.
    public static func parse(_ body: UnsafeRawBufferPointer) throws(AcquisitionHeaderError) -> AcquisitionHeader {
        guard body.count <= maximumBytes else { throw .tooLong(body.count) }
        guard body.starts(with: "HDR".utf8) else { throw .notAHeader }
        return AcquisitionHeader(text: [UInt8](body))
    }

    private init(text: [UInt8]) {
        var warnings: [String] = []
        var entries: [Entry] = []
        var isEnded = false
        let lines = text.split(separator: 0x0A, maxSplits: Self.maximumLines, omittingEmptySubsequences: true)
        for line in lines.dropFirst().prefix(Self.maximumLines - 1) {
            let trimmed = Self.trim(line)
            if trimmed.isEmpty { continue }
            if trimmed.elementsEqual("End".utf8) {
                isEnded = true
                break
            }
            if let entry = Self.entry(trimmed) {
                entries.append(entry)
            } else {
                warnings.append("line without a key: “\(Self.decode(trimmed.prefix(80)))”")
            }
        }
        if !isEnded { warnings.append("the text has no line “End”") }

        func number<Value: FixedWidthInteger>(_ key: String, required: Bool) -> Value? {
            guard let value = Self.value(of: key, in: entries) else {
                if required { warnings.append("“\(key)” is missing") }
                return nil
            }
            guard let number = Value(value), number >= 0 else {
                warnings.append("“\(key)” is no whole number: “\(value)”")
                return nil
            }
            return number
        }
        framesInAcquisition = number("Frames in Acquisition (Number)", required: true)
        framesPerTrigger = number("Frames per Trigger (Number)", required: true)
        scanX = number("ScanX", required: false)
        scanY = number("ScanY", required: false)
        let depth: Int? = number("Counter Depth (number)", required: false)
        counterDepth = depth.flatMap { CounterDepth(rawValue: $0) }
        if let depth, counterDepth == nil { warnings.append("unknown counter depth \(depth)") }
        let layout = Self.value(of: "Assembly Size", in: entries)
        sensorLayout = layout.flatMap { SensorLayout($0) }
        if let layout, sensorLayout == nil { warnings.append("unknown assembly size “\(layout)”") }
        self.text = text
        self.entries = entries
        self.warnings = warnings
    }

    /// Key and value of a trimmed line: parted by the first tab, which old versions always write, else by the first
    /// colon.
    private static func entry(_ line: ArraySlice<UInt8>) -> Entry? {
        let colon = UInt8(ascii: ":")
        guard let parting = line.firstIndex(of: 0x09) ?? line.firstIndex(of: colon) else { return nil }
        var key = trim(line[..<parting])
        if key.last == colon { key = trim(key.dropLast()) }
        guard !key.isEmpty else { return nil }
        return Entry(key: decode(key), value: decode(trim(line[(parting + 1)...])))
    }

    /// Without blanks, tabs, carriage returns and NULs on both sides.
    private static func trim(_ line: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        func isPadding(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0D || byte == 0 }
        guard let first = line.firstIndex(where: { !isPadding($0) }),
            let last = line.lastIndex(where: { !isPadding($0) })
        else { return [] }
        return line[first...last]
    }

    /// Latin-1, as the detector writes (`µA`), unless the bytes are valid UTF-8, as other programs write.
    private static func decode(_ bytes: ArraySlice<UInt8>) -> String {
        String(validating: bytes, as: UTF8.self)
            ?? String(String.UnicodeScalarView(bytes.map { Unicode.Scalar($0) }))
    }

    private static func value(of key: String, in entries: [Entry]) -> String? {
        if let entry = entries.first(where: { $0.key == key }) { return entry.value }
        let plainKey = plain(key)
        return entries.first { plain($0.key) == plainKey }?.value
    }

    /// Lower case, without what stands in brackets, single blanks.
    private static func plain(_ key: String) -> String {
        key.prefix { $0 != "(" }.lowercased().split(separator: " ").joined(separator: " ")
    }
}

extension AcquisitionHeader: Hashable {
    /// Headers are equal when their texts are, byte for byte: what tells a spurious second copy of a header from the
    /// header of a new acquisition (A7).
    public static func == (left: Self, right: Self) -> Bool { left.text == right.text }

    public func hash(into hasher: inout Hasher) { hasher.combine(text) }
}

/// Why bytes are not an acquisition header.
public enum AcquisitionHeaderError: Error, Sendable, Hashable, CustomStringConvertible {
    case notAHeader
    case tooLong(Int)

    public var description: String {
        switch self {
        case .notAHeader:
            "not a Merlin acquisition header: the text does not begin with “HDR”"
        case .tooLong(let bytes):
            """
            an acquisition header of \(bytes) bytes; real ones have 2048, at most \
            \(AcquisitionHeader.maximumBytes) are accepted
            """
        }
    }
}
