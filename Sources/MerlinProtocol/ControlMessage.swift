/// What a control message asks for.
public enum ControlKind: String, Sendable, Hashable, CaseIterable {
    case get = "GET"
    case set = "SET"
    case cmd = "CMD"
}

/// A request to the detector's control socket.
///
/// Names are compared without regard to case, since clients differ in it; the spelling is kept.
public struct ControlRequest: Sendable, CustomStringConvertible {
    public var kind: ControlKind
    /// Parameter or command as spelled by the client. Use ``key`` to look it up.
    public var name: String
    /// The value of a SET; nil otherwise.
    public var value: String?

    public init(_ kind: ControlKind, _ name: String, value: String? = nil) {
        self.kind = kind
        self.name = name
        self.value = kind == .set ? value ?? "" : nil
    }

    public static func get(_ name: String) -> Self { Self(.get, name) }
    public static func set(_ name: String, _ value: String) -> Self { Self(.set, name, value: value) }
    public static func cmd(_ name: String) -> Self { Self(.cmd, name) }

    /// The name in upper case.
    public var key: String { name.uppercased() }

    /// The message's text. A10: a GET or CMD is written without the trailing `,0` that one client adds.
    public var description: String {
        ([kind.rawValue, name] + (value.map { [$0] } ?? [])).joined(separator: ",")
    }

    /// The whole message, prefix included.
    public func encoded() -> [UInt8] { ControlText.message(description) }

    /// Reads a message's text.
    ///
    /// A10: `GET,NAME` and `GET,NAME,0` are the same, and CMD likewise. A SET's value may hold commas.
    public static func parse(_ text: some Collection<UInt8>) throws(ControlMessageError) -> ControlRequest {
        let text = ControlText.decode(text)
        let fields = ControlText.fields(text, maximum: 3)
        guard let kind = ControlKind(rawValue: fields[0].uppercased()) else { throw .unknownKind(text) }
        guard fields.count > 1, !fields[1].isEmpty else { throw .incomplete(text) }
        switch kind {
        case .get, .cmd:
            return ControlRequest(kind, fields[1])
        case .set:
            guard fields.count == 3 else { throw .incomplete(text) }
            return ControlRequest(.set, fields[1], value: fields[2])
        }
    }
}

extension ControlRequest: Hashable {
    public static func == (left: Self, right: Self) -> Bool {
        left.kind == right.kind && left.key == right.key && left.value == right.value
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(kind)
        hasher.combine(key)
        hasher.combine(value)
    }
}

/// The detector's answer to a request.
public struct ControlReply: Sendable, Hashable, CustomStringConvertible {
    /// The request's kind; nil for the answer to a message that the detector could not read (`ERROR,1`).
    public var kind: ControlKind?
    /// The request's name; empty where ``kind`` is nil.
    public var name: String
    /// The value of a GET, as written; nil otherwise, and where a failed GET gives none.
    public var value: String?
    public var code: ControlCode

    public init(kind: ControlKind?, name: String, value: String? = nil, code: ControlCode = .ok) {
        self.kind = kind
        self.name = name
        self.value = value
        self.code = code
    }

    /// The answer to `request`, with the name as the client spelled it.
    public init(to request: ControlRequest, value: String? = nil, code: ControlCode = .ok) {
        self.init(kind: request.kind, name: request.name, value: request.kind == .get ? value : nil, code: code)
    }

    /// The answer to a message that is no request.
    public static let malformedRequest = ControlReply(kind: nil, name: "", code: .busyOrUnknown)

    /// The value as a number: `0.412270`, `1`. nil for anything else.
    public var doubleValue: Double? { value.flatMap { Double($0) }.flatMap { $0.isFinite ? $0 : nil } }

    /// The value as a whole number; `1.000000`, which detectors write for some parameters, is one too.
    public var integerValue: Int? { value.flatMap { Int($0) } ?? doubleValue.flatMap { Int(exactly: $0) } }

    /// The message's text.
    public var description: String {
        guard let kind else { return "ERROR,\(code.rawValue)" }
        return ([kind.rawValue, name] + (value.map { [$0] } ?? []) + [String(code.rawValue)]).joined(separator: ",")
    }

    /// The whole message, prefix included.
    public func encoded() -> [UInt8] { ControlText.message(description) }

    /// Reads a message's text. A GET's value may hold commas; the code is the last field.
    public static func parse(_ text: some Collection<UInt8>) throws(ControlMessageError) -> ControlReply {
        let text = ControlText.decode(text)
        let fields = ControlText.fields(text, maximum: .max)
        guard fields.count > 1 else { throw .incomplete(text) }
        guard let number = Int(fields[fields.count - 1]), number >= 0 else { throw .noCode(text) }
        let code = ControlCode(rawValue: number)
        if fields[0].uppercased() == "ERROR" { return ControlReply(kind: nil, name: "", code: code) }
        guard let kind = ControlKind(rawValue: fields[0].uppercased()) else { throw .unknownKind(text) }
        guard fields.count > 2, !fields[1].isEmpty else { throw .incomplete(text) }
        let value = fields.count > 3 && kind == .get ? fields[2..<(fields.count - 1)].joined(separator: ",") : nil
        return ControlReply(kind: kind, name: fields[1], value: value, code: code)
    }
}

/// Why a control message cannot be understood.
public enum ControlMessageError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The text does not begin with GET, SET or CMD.
    case unknownKind(String)
    /// A name or a value is missing.
    case incomplete(String)
    /// A reply that does not end in an error code.
    case noCode(String)

    public var description: String {
        switch self {
        case .unknownKind(let text): "a control message that is neither GET, SET nor CMD: “\(text.prefix(80))”"
        case .incomplete(let text): "a control message without name or value: “\(text.prefix(80))”"
        case .noCode(let text): "a control reply that does not end in an error code: “\(text.prefix(80))”"
        }
    }
}

/// Text of control messages to and from bytes.
enum ControlText {
    static func message(_ text: String) -> [UInt8] {
        MPXPrefix.encoded(bodyBytes: text.utf8.count) + text.utf8
    }

    /// UTF-8, or Latin-1 where it is none, without NULs and without blanks and line ends around it.
    static func decode(_ bytes: some Collection<UInt8>) -> String {
        func isPadding(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D }
        var text = bytes.filter { $0 != 0 }[...]
        text = text.drop(while: isPadding)
        while let last = text.last, isPadding(last) { text.removeLast() }
        return String(validating: text, as: UTF8.self)
            ?? String(String.UnicodeScalarView(text.map { Unicode.Scalar($0) }))
    }

    /// At least one field, trimmed except for a last one that takes the rest.
    static func fields(_ text: String, maximum: Int) -> [String] {
        text.split(separator: ",", maxSplits: maximum - 1, omittingEmptySubsequences: false).map { field in
            var field = field
            while field.first == " " { field.removeFirst() }
            while field.last == " " { field.removeLast() }
            return String(field)
        }
    }
}
