/// How the chips of a detector are put together: `1x1`, `2x2`, `2x2G` (with gap), `Nx1`, `Nx1G`.
///
/// Read without regard to case or to surrounding blanks: frame headers write `   2x2`, acquisition headers also `2X2`.
/// A row of chips is written with a literal `N` in known files; a digit in its place (`4x1`) is accepted too.
public struct SensorLayout: Sendable, Hashable, Codable, CustomStringConvertible {
    public static let single = SensorLayout(columns: 1, rows: 1, hasGap: false)
    public static let quad = SensorLayout(columns: 2, rows: 2, hasGap: false)
    public static let quadWithGap = SensorLayout(columns: 2, rows: 2, hasGap: true)
    /// A row of any number of chips, `Nx1`.
    public static let row = SensorLayout(columns: 0, rows: 1, hasGap: false)
    /// A row of any number of chips with gaps between them, `Nx1G`.
    public static let rowWithGap = SensorLayout(columns: 0, rows: 1, hasGap: true)

    /// Chips side by side; 0 stands for the unspecified `N`.
    private let columns: UInt8
    private let rows: UInt8
    /// Whether the image has empty pixels where the chips meet.
    public let hasGap: Bool

    private init(columns: UInt8, rows: UInt8, hasGap: Bool) {
        self.columns = columns
        self.rows = rows
        self.hasGap = hasGap
    }

    public var isSingle: Bool { columns == 1 && rows == 1 }
    public var isQuad: Bool { columns == 2 && rows == 2 }
    /// Whether the chips stand in one row (`Nx1`); false for a single chip.
    public var isRow: Bool { rows == 1 && columns != 1 }

    /// The layout written as `text`, or nil for an unknown one.
    public init?(_ text: some StringProtocol) {
        var text = text[...]
        while text.first == " " { text.removeFirst() }
        while text.last == " " { text.removeLast() }
        var letters: (UInt8, UInt8, UInt8, UInt8) = (0, 0, 0, 0)
        var count = 0
        for byte in text.utf8 {
            switch count {
            case 0: letters.0 = byte
            case 1: letters.1 = byte
            case 2: letters.2 = byte
            case 3: letters.3 = byte
            default: return nil
            }
            count += 1
        }
        self.init(count: count, letters.0, letters.1, letters.2, letters.3)
    }

    /// The layout written as `count` bytes, blanks removed.
    @inline(__always)
    init?(count: Int, _ first: UInt8, _ second: UInt8, _ third: UInt8, _ fourth: UInt8) {
        guard count == 3 || count == 4, second | 0x20 == UInt8(ascii: "x") else { return nil }
        let hasGap = count == 4
        if hasGap, fourth | 0x20 != UInt8(ascii: "g") { return nil }
        switch (first, third) {
        case (UInt8(ascii: "1"), UInt8(ascii: "1")) where !hasGap:
            self.init(columns: 1, rows: 1, hasGap: false)
        case (UInt8(ascii: "2"), UInt8(ascii: "2")):
            self.init(columns: 2, rows: 2, hasGap: hasGap)
        case (UInt8(ascii: "N"), UInt8(ascii: "1")), (UInt8(ascii: "n"), UInt8(ascii: "1")):
            self.init(columns: 0, rows: 1, hasGap: hasGap)
        case (UInt8(ascii: "2")...UInt8(ascii: "9"), UInt8(ascii: "1")):
            self.init(columns: first &- UInt8(ascii: "0"), rows: 1, hasGap: hasGap)
        default:
            return nil
        }
    }

    public var description: String {
        "\(columns == 0 ? "N" : String(columns))x\(rows)\(hasGap ? "G" : "")"
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let layout = SensorLayout(text) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "unknown sensor layout “\(text)”")
        }
        self = layout
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
