extension ParameterValue {
    /// Reads JSON (RFC 8259).
    ///
    /// - Throws: `UDFError` with the place of the fault. Nesting is limited to 64 levels.
    public init(json text: String) throws(UDFError) {
        var reader = JSONReader(bytes: Array(text.utf8))
        do {
            self = try reader.document()
        } catch {
            throw UDFError(.badRequest, "the parameters are not JSON: \(error) at byte \(reader.index)")
        }
    }
}

/// A strict reader of one JSON value, without Foundation, which the libraries do without.
private struct JSONReader {
    let bytes: [UInt8]
    var index = 0
    private var depth = 0

    init(bytes: [UInt8]) { self.bytes = bytes }

    mutating func document() throws(UDFFailure) -> ParameterValue {
        let result = try value()
        skipSpace()
        guard index == bytes.count else { throw UDFFailure("something follows the value") }
        return result
    }

    private var next: UInt8? { index < bytes.count ? bytes[index] : nil }

    private mutating func skipSpace() {
        while let byte = next, byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 { index += 1 }
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard next == byte else { return false }
        index += 1
        return true
    }

    private mutating func value() throws(UDFFailure) -> ParameterValue {
        skipSpace()
        switch next {
        case UInt8(ascii: "{"): return try nested { reader throws(UDFFailure) in try reader.object() }
        case UInt8(ascii: "["): return try nested { reader throws(UDFFailure) in try reader.list() }
        case UInt8(ascii: "\""): return .text(try text())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case nil: throw UDFFailure("it ends too early")
        default: return try number()
        }
    }

    private mutating func nested(
        _ body: (inout JSONReader) throws(UDFFailure) -> ParameterValue
    ) throws(UDFFailure) -> ParameterValue {
        guard depth < 64 else { throw UDFFailure("nested too deeply") }
        index += 1
        depth += 1
        defer { depth -= 1 }
        return try body(&self)
    }

    private mutating func object() throws(UDFFailure) -> ParameterValue {
        var result: [String: ParameterValue] = [:]
        skipSpace()
        if take(UInt8(ascii: "}")) { return .object(result) }
        repeat {
            skipSpace()
            guard next == UInt8(ascii: "\"") else { throw UDFFailure("a key in quotes is expected") }
            let key = try text()
            skipSpace()
            guard take(UInt8(ascii: ":")) else { throw UDFFailure("':' is expected") }
            guard result.updateValue(try value(), forKey: key) == nil else {
                throw UDFFailure("the key \"\(key)\" appears twice")
            }
            skipSpace()
        } while take(UInt8(ascii: ","))
        guard take(UInt8(ascii: "}")) else { throw UDFFailure("',' or '}' is expected") }
        return .object(result)
    }

    private mutating func list() throws(UDFFailure) -> ParameterValue {
        var result: [ParameterValue] = []
        skipSpace()
        if take(UInt8(ascii: "]")) { return .list(result) }
        repeat {
            result.append(try value())
            skipSpace()
        } while take(UInt8(ascii: ","))
        guard take(UInt8(ascii: "]")) else { throw UDFFailure("',' or ']' is expected") }
        return .list(result)
    }

    private mutating func word(_ word: String, _ value: ParameterValue) throws(UDFFailure) -> ParameterValue {
        for byte in word.utf8 where !take(byte) { throw UDFFailure("\(word) is expected") }
        return value
    }

    private mutating func number() throws(UDFFailure) -> ParameterValue {
        let start = index
        _ = take(UInt8(ascii: "-"))
        let firstDigit = index
        let whole = digits()
        guard whole == 1 || whole > 1 && bytes[firstDigit] != UInt8(ascii: "0") else {
            throw UDFFailure("a value is expected")
        }
        var isInteger = true
        if take(UInt8(ascii: ".")) {
            isInteger = false
            guard digits() > 0 else { throw UDFFailure("a digit is expected") }
        }
        if take(UInt8(ascii: "e")) || take(UInt8(ascii: "E")) {
            isInteger = false
            if !take(UInt8(ascii: "+")) { _ = take(UInt8(ascii: "-")) }
            guard digits() > 0 else { throw UDFFailure("a digit is expected") }
        }
        let text = String(decoding: bytes[start..<index], as: UTF8.self)
        if isInteger, let value = Int64(text) { return .integer(value) }
        guard let value = Double(text), value.isFinite else { throw UDFFailure("the number \(text) is too large") }
        return .number(value)
    }

    private mutating func digits() -> Int {
        let start = index
        while let byte = next, byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") { index += 1 }
        return index - start
    }

    private mutating func text() throws(UDFFailure) -> String {
        index += 1
        var result: [UInt8] = []
        while let byte = next {
            index += 1
            switch byte {
            case UInt8(ascii: "\""):
                guard let text = String(validating: result, as: UTF8.self) else {
                    throw UDFFailure("text is not UTF-8")
                }
                return text
            case UInt8(ascii: "\\"): try escape(into: &result)
            case 0..<0x20: throw UDFFailure("a control character in text")
            default: result.append(byte)
            }
        }
        throw UDFFailure("text without its closing quote")
    }

    private mutating func escape(into result: inout [UInt8]) throws(UDFFailure) {
        guard let byte = next else { throw UDFFailure("text without its closing quote") }
        index += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): result.append(byte)
        case UInt8(ascii: "b"): result.append(0x08)
        case UInt8(ascii: "f"): result.append(0x0c)
        case UInt8(ascii: "n"): result.append(0x0a)
        case UInt8(ascii: "r"): result.append(0x0d)
        case UInt8(ascii: "t"): result.append(0x09)
        case UInt8(ascii: "u"):
            var code = try hexadecimal()
            if code >= 0xd800 && code < 0xdc00 && take(UInt8(ascii: "\\")) && take(UInt8(ascii: "u")) {
                let low = try hexadecimal()
                guard low >= 0xdc00 && low < 0xe000 else { throw UDFFailure("half a character") }
                code = 0x10000 + (code - 0xd800) << 10 + (low - 0xdc00)
            }
            guard let scalar = Unicode.Scalar(code) else { throw UDFFailure("half a character") }
            result.append(contentsOf: String(Character(scalar)).utf8)
        default: throw UDFFailure("unknown escape")
        }
    }

    private mutating func hexadecimal() throws(UDFFailure) -> UInt32 {
        guard index + 4 <= bytes.count,
            bytes[index..<index + 4].allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }),
            let code = UInt32(String(decoding: bytes[index..<index + 4], as: UTF8.self), radix: 16)
        else { throw UDFFailure("four hexadecimal digits are expected") }
        index += 4
        return code
    }
}
