import StemwireProtocol
import SwiftProtobuf

/// A JSON text as a value: what is told to pages and programs, and what comes from them.
enum JSONValue: Sendable, Equatable {
    case null
    case bool(Bool)
    case number(Double)
    case string(String)
    case array([JSONValue])
    /// Members in the order in which they are written.
    case object([(String, JSONValue)])

    static func == (left: JSONValue, right: JSONValue) -> Bool { left.text == right.text }

    static func int(_ value: some BinaryInteger) -> JSONValue { .number(Double(value)) }

    static func ints(_ values: some Sequence<Int>) -> JSONValue { .array(values.map { .int($0) }) }

    /// An empty text becomes null.
    static func text(_ value: String) -> JSONValue { value.isEmpty ? .null : .string(value) }
}

// MARK: Reading

extension JSONValue {
    /// - Parameter depth: of nested messages, of which a level of JSON takes two; deeper than those of a page are none.
    /// - Throws: ``ViewerRequestError`` for what is no JSON, or nested deeper.
    init(parsing bytes: some Collection<UInt8>, depth: Int = 16) throws(ViewerRequestError) {
        var options = JSONDecodingOptions()
        options.messageDepthLimit = depth
        do {
            self.init(
                try Google_Protobuf_Value(jsonString: String(decoding: bytes, as: UTF8.self), options: options))
        } catch {
            throw ViewerRequestError("it is not readable JSON")
        }
    }

    private init(_ value: Google_Protobuf_Value) {
        switch value.kind {
        case .boolValue(let flag): self = .bool(flag)
        case .numberValue(let number): self = .number(number)
        case .stringValue(let text): self = .string(text)
        case .listValue(let list): self = .array(list.values.map { JSONValue($0) })
        case .structValue(let members):
            self = .object(members.fields.sorted { $0.key < $1.key }.map { ($0.key, JSONValue($0.value)) })
        case .nullValue, nil: self = .null
        }
    }

    /// The member of that name; nil when there is none, or this is no object.
    subscript(name: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.0 == name }?.1
    }

    var string: String? { if case .string(let text) = self { text } else { nil } }

    var number: Double? { if case .number(let value) = self { value } else { nil } }

    /// A whole number.
    var int: Int? { number.flatMap { Int(exactly: $0) } }

    var array: [JSONValue]? { if case .array(let values) = self { values } else { nil } }

    var members: [(String, JSONValue)]? { if case .object(let members) = self { members } else { nil } }
}

// MARK: Writing

extension JSONValue {
    /// The compact text. Numbers that JSON does not have (NaN, infinities) become null.
    var text: String {
        var text = ""
        write(to: &text)
        return text
    }

    private func write(to text: inout String) {
        switch self {
        case .null: text += "null"
        case .bool(let flag): text += flag ? "true" : "false"
        case .number(let value):
            if let whole = Int64(exactly: value), whole.magnitude < 1 << 53 {
                text += String(whole)
            } else {
                text += value.isFinite ? "\(value)" : "null"
            }
        case .string(let string): Self.write(string, to: &text)
        case .array(let values):
            text += "["
            for (index, value) in values.enumerated() {
                if index > 0 { text += "," }
                value.write(to: &text)
            }
            text += "]"
        case .object(let members):
            text += "{"
            for (index, member) in members.enumerated() {
                if index > 0 { text += "," }
                Self.write(member.0, to: &text)
                text += ":"
                member.1.write(to: &text)
            }
            text += "}"
        }
    }

    private static func write(_ string: String, to text: inout String) {
        text += "\""
        for scalar in string.unicodeScalars {
            switch scalar {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case "\n": text += "\\n"
            case "\u{0}"..."\u{1F}", "<", "\u{2028}", "\u{2029}":
                let digits = String(scalar.value, radix: 16)
                text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: text.unicodeScalars.append(scalar)
            }
        }
        text += "\""
    }
}
