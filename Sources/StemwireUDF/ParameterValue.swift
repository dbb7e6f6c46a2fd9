/// The value of a parameter before the UDF's own type gives it a meaning: what JSON can say.
public enum ParameterValue: Sendable, Hashable {
    case null
    case bool(Bool)
    case integer(Int64)
    case number(Double)
    /// Text; a number, a truth value or a list of such in text (`20`, `true`, `1,2,3`, `inf`) is taken as that where
    /// one is expected, since a command line has nothing but text.
    case text(String)
    case list([ParameterValue])
    case object([String: ParameterValue])

    /// The value as JSON with sorted keys and no spaces: equal values give equal text.
    ///
    /// Infinity and NaN, which JSON has no words for, are the texts `"inf"`, `"-inf"` and `"nan"`.
    public var json: String {
        switch self {
        case .null: "null"
        case .bool(let value): value ? "true" : "false"
        case .integer(let value): String(value)
        case .number(let value):
            if value.isFinite {
                // A whole number is written as one, so that r=20 and r=20.0 have the same content hash.
                if let whole = Int64(exactly: value) { String(whole) } else { String(value) }
            } else {
                value.isNaN ? "\"nan\"" : value < 0 ? "\"-inf\"" : "\"inf\""
            }
        case .text(let value): Self.quoted(value)
        case .list(let values): "[" + values.map(\.json).joined(separator: ",") + "]"
        case .object(let values):
            "{"
                + values.sorted { $0.key < $1.key }.map { Self.quoted($0.key) + ":" + $0.value.json }
                .joined(separator: ",") + "}"
        }
    }

    /// The value as on a command line: as JSON, but text without quotes.
    var plain: String {
        if case .text(let value) = self { return value }
        return json.filter { $0 != "\"" }
    }

    /// The named values with hashes of the data they name in their places.
    func replacing(_ contents: [String: UInt64]) -> ParameterValue {
        guard case .object(let values) = self, !contents.isEmpty else { return self }
        return .object(values.merging(contents.mapValues { .text("content " + String($0, radix: 16)) }) { $1 })
    }

    private static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case _ where scalar.value < 0x20:
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}

extension ParameterValue: ExpressibleByNilLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByFloatLiteral, ExpressibleByStringLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    public init(nilLiteral: ()) { self = .null }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(integerLiteral value: Int64) { self = .integer(value) }
    public init(floatLiteral value: Double) { self = .number(value) }
    public init(stringLiteral value: String) { self = .text(value) }
    public init(arrayLiteral elements: ParameterValue...) { self = .list(elements) }
    public init(dictionaryLiteral elements: (String, ParameterValue)...) {
        self = .object(Dictionary(elements, uniquingKeysWith: { _, last in last }))
    }
}
