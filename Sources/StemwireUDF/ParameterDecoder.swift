/// A parameter that is not what its UDF expects: which, and what was expected.
struct ParameterFault: Error, Sendable {
    let path: String
    let reason: String

    init(_ path: [any CodingKey], _ reason: String) {
        self.path = path.map { $0.intValue.map { "[\($0)]" } ?? $0.stringValue }.joined(separator: ".")
        self.reason = reason
    }
}

/// Turns a `ParameterValue` into a UDF's own type, and notes which keys that type asks for.
struct ParameterDecoder: Decoder {
    /// The keys asked for, in order, and those that were asked for as optional.
    final class Keys {
        private(set) var names: [String] = []

        func note(_ name: String) {
            if !names.contains(name) { names.append(name) }
        }
    }

    let value: ParameterValue
    let codingPath: [any CodingKey]
    /// Only at the top: keys further down belong to a parameter's own structure.
    let keys: Keys?
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    init(_ value: ParameterValue, path: [any CodingKey] = [], keys: Keys? = nil) {
        self.value = value
        codingPath = path
        self.keys = keys
    }

    func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
        guard case .object(let values) = value else { throw ParameterFault(codingPath, "expected named values") }
        return KeyedDecodingContainer(Keyed<Key>(values: values, codingPath: codingPath, keys: keys))
    }

    func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
        switch value {
        case .list(let values): return Unkeyed(values: values, codingPath: codingPath)
        case .text(let text):
            let items = text.split(separator: ",", omittingEmptySubsequences: true)
            return Unkeyed(values: items.map { .text(String($0)) }, codingPath: codingPath)
        case .integer, .number: return Unkeyed(values: [value], codingPath: codingPath)
        case .null, .bool, .object: throw ParameterFault(codingPath, "expected a list")
        }
    }

    func singleValueContainer() throws -> any SingleValueDecodingContainer {
        Single(value: value, codingPath: codingPath)
    }

    /// Decodes one value: scalars here, everything else by its own `init(from:)`.
    static func decode<Value: Decodable>(
        _ type: Value.Type, _ value: ParameterValue, _ path: [any CodingKey]
    ) throws -> Value {
        if let scalar = type as? any ParameterScalar.Type {
            guard let result = scalar.init(parameter: value) as? Value else {
                throw ParameterFault(path, "\(value.plain) is not \(scalar.kind)")
            }
            return result
        }
        return try Value(from: ParameterDecoder(value, path: path))
    }
}

/// A type that is one value on the command line.
private protocol ParameterScalar {
    static var kind: String { get }
    init?(parameter: ParameterValue)
}

extension ParameterScalar where Self: FixedWidthInteger {
    fileprivate static var kind: String {
        Self.isSigned ? "a whole number" : "a whole number of at least 0"
    }

    fileprivate init?(parameter: ParameterValue) {
        switch parameter {
        case .integer(let value): self.init(exactly: value)
        case .number(let value): self.init(exactly: value)
        case .text(let text): self.init(text)
        case .null, .bool, .list, .object: return nil
        }
    }
}

extension ParameterScalar where Self: BinaryFloatingPoint & LosslessStringConvertible {
    fileprivate static var kind: String { "a number" }

    fileprivate init?(parameter: ParameterValue) {
        switch parameter {
        case .integer(let value): self.init(value)
        case .number(let value): self.init(value)
        case .text("∞"): self = .infinity
        case .text(let text): self.init(text)
        case .null, .bool, .list, .object: return nil
        }
    }
}

extension Int: ParameterScalar {}
extension Int8: ParameterScalar {}
extension Int16: ParameterScalar {}
extension Int32: ParameterScalar {}
extension Int64: ParameterScalar {}
extension UInt: ParameterScalar {}
extension UInt8: ParameterScalar {}
extension UInt16: ParameterScalar {}
extension UInt32: ParameterScalar {}
extension UInt64: ParameterScalar {}
extension Float: ParameterScalar {}
extension Double: ParameterScalar {}

extension Bool: ParameterScalar {
    fileprivate static var kind: String { "true or false" }

    fileprivate init?(parameter: ParameterValue) {
        switch parameter {
        case .bool(let value): self = value
        case .integer(1), .text("true"), .text("1"), .text("yes"), .text("on"): self = true
        case .integer(0), .text("false"), .text("0"), .text("no"), .text("off"): self = false
        default: return nil
        }
    }
}

extension String: ParameterScalar {
    fileprivate static var kind: String { "text" }

    fileprivate init?(parameter: ParameterValue) {
        guard case .text(let value) = parameter else { return nil }
        self = value
    }
}

private struct Keyed<Key: CodingKey>: KeyedDecodingContainerProtocol {
    let values: [String: ParameterValue]
    let codingPath: [any CodingKey]
    let keys: ParameterDecoder.Keys?

    var allKeys: [Key] { values.keys.compactMap(Key.init(stringValue:)) }

    func contains(_ key: Key) -> Bool {
        keys?.note(key.stringValue)
        return values[key.stringValue] != nil
    }

    private func value(_ key: Key) throws -> ParameterValue {
        keys?.note(key.stringValue)
        guard let value = values[key.stringValue] else { throw ParameterFault(codingPath + [key], "is missing") }
        return value
    }

    func decodeNil(forKey key: Key) throws -> Bool { try value(key) == .null }

    func decode<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value {
        try ParameterDecoder.decode(type, try value(key), codingPath + [key])
    }

    func nestedContainer<Nested: CodingKey>(
        keyedBy type: Nested.Type, forKey key: Key
    ) throws -> KeyedDecodingContainer<Nested> {
        try superDecoder(forKey: key).container(keyedBy: type)
    }

    func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
        try superDecoder(forKey: key).unkeyedContainer()
    }

    func superDecoder() throws -> any Decoder { ParameterDecoder(.object(values), path: codingPath) }

    func superDecoder(forKey key: Key) throws -> any Decoder {
        ParameterDecoder(try value(key), path: codingPath + [key])
    }
}

private struct Unkeyed: UnkeyedDecodingContainer {
    let values: [ParameterValue]
    let codingPath: [any CodingKey]
    private(set) var currentIndex = 0

    init(values: [ParameterValue], codingPath: [any CodingKey]) {
        self.values = values
        self.codingPath = codingPath
    }

    var count: Int? { values.count }
    var isAtEnd: Bool { currentIndex >= values.count }

    private struct Index: CodingKey {
        let intValue: Int?
        var stringValue: String { "" }
        init(_ value: Int) { intValue = value }
        init?(intValue: Int) { self.intValue = intValue }
        init?(stringValue: String) { nil }
    }

    private mutating func takeDecoder() throws -> ParameterDecoder {
        let path = codingPath + [Index(currentIndex)]
        guard !isAtEnd else { throw ParameterFault(path, "is missing: the list is too short") }
        defer { currentIndex += 1 }
        return ParameterDecoder(values[currentIndex], path: path)
    }

    mutating func decodeNil() throws -> Bool {
        guard !isAtEnd, values[currentIndex] == .null else { return false }
        currentIndex += 1
        return true
    }

    mutating func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
        let decoder = try takeDecoder()
        return try ParameterDecoder.decode(type, decoder.value, decoder.codingPath)
    }

    mutating func nestedContainer<Nested: CodingKey>(
        keyedBy type: Nested.Type
    ) throws -> KeyedDecodingContainer<Nested> {
        try takeDecoder().container(keyedBy: type)
    }

    mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer {
        try takeDecoder().unkeyedContainer()
    }

    mutating func superDecoder() throws -> any Decoder { try takeDecoder() }
}

private struct Single: SingleValueDecodingContainer {
    let value: ParameterValue
    let codingPath: [any CodingKey]

    func decodeNil() -> Bool { value == .null }

    func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
        try ParameterDecoder.decode(type, value, codingPath)
    }
}
