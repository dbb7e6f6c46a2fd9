import StemwireClient
import StemwireProtocol

/// What a page may ask of the viewer. Every value is checked when it is read.
enum ViewerRequest: Sendable, Equatable {
    /// The page has drawn what it got and can take the next message.
    case next
    /// What the page shows from now on: it gets the present state of each pane at once.
    case view([PaneRequest])
    /// Have this virtual detector, or have it with these parameters from now on.
    case detector(VirtualDetector)
    /// The page lets go of a virtual detector.
    case dropDetector(String)
    case command(number: Int, ViewerCommand)
    /// Who the page is: its first message, where the viewer asks.
    case token(String)
    /// Tell of acquisitions of the past, which whoever may look may know.
    case history(number: Int, HistoryWish)
}

/// What one pane of a page shows.
struct PaneRequest: Sendable, Hashable {
    enum Source: Sendable, Hashable {
        case channel(run: String, udf: String, channel: String)
        /// A channel of a virtual detector.
        case detector(String, channel: String)
        /// A channel of an acquisition before the present one, whose id is given.
        case past(String, run: String, udf: String, channel: String)
        /// The frame at a scan position of the newest acquisition, by FETCH.
        case position(Int)
    }

    /// The page's own name for the pane.
    let pane: String
    let source: Source
}

/// What a page may have the detector do.
enum ViewerCommand: Sendable, Equatable {
    case arm(navShape: [Int]?)
    /// Tell whether the scan would work and what it takes; change nothing.
    case check(ScanWish)
    /// Arm for the software trigger, and trigger.
    case scan(ScanWish)
    case trigger, stop, abort
    /// Tell the values of these variables of the detector.
    case settings([String])
    case set(String, to: String)

    /// Whether it changes something.
    var needsControl: Bool {
        if case .settings = self { return false }
        return true
    }
}

/// A scan as a page wants it; what is nil stays as server and detector are set.
struct ScanWish: Sendable, Equatable {
    /// Rows, columns.
    var navShape: [Int]?
    /// How many frames the detector is to send.
    var frames: Int?

    var armSettings: ArmSettings { ArmSettings(navShape: navShape, frames: frames, trigger: .soft) }
}

/// What a page wants to know of the past.
enum HistoryWish: Sendable, Equatable {
    /// The newest acquisitions before this number of the history; nil: from the newest on.
    case list(before: UInt64?)
    /// Everything about one acquisition.
    case acquisition(AcquisitionUUID)
}

/// A variable of the detector.
struct NamedValue: Sendable, Hashable {
    var name: String
    var value: String
}

/// A UDF with one channel for each scan position, whose parameters are changed while it runs.
struct VirtualDetector: Sendable, Hashable {
    /// The UDFs that can be moved on the pattern, with the parameters that they take.
    static let kinds: [String: Set<String>] = [
        "disk": ["cy", "cx", "r"],
        "ring": ["cy", "cx", "ri", "ro"],
        "rectangle": ["y", "x", "height", "width"],
        "point": ["cy", "cx"],
        "com": ["cy", "cx", "r", "ri", "scan_rotation", "flip_y", "regression"],
    ]
    /// Letters, digits and `_`, made by the page.
    let id: String
    let udf: String
    let parameters: [String: String]
}

/// A request that a page should not have made.
struct ViewerRequestError: Error, Sendable, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

extension ViewerRequest {
    /// The largest message that a page may send.
    static let maximumBytes = 16 << 10
    private static let panes = 6
    private static let tokenLength = 256

    /// Reads a page's message.
    ///
    /// - Throws: ``ViewerRequestError`` naming what was wrong.
    init(_ bytes: some Collection<UInt8>) throws(ViewerRequestError) {
        guard bytes.count <= Self.maximumBytes else {
            throw ViewerRequestError("it has \(bytes.count) bytes, \(Self.maximumBytes) are allowed")
        }
        let message = try JSONValue(parsing: bytes)
        switch message["type"]?.string {
        case "next": self = .next
        case "view":
            guard let panes = message["panes"]?.array, panes.count <= Self.panes else {
                throw ViewerRequestError("a view has a list of at most \(Self.panes) panes")
            }
            var read: [PaneRequest] = []
            for pane in panes { read.append(try PaneRequest(pane)) }
            guard Set(read.map(\.pane)).count == read.count else {
                throw ViewerRequestError("two panes of one name")
            }
            self = .view(read)
        case "detector": self = .detector(try VirtualDetector(message))
        case "dropDetector": self = .dropDetector(try VirtualDetector.id(message))
        case "command":
            guard let number = message["id"]?.int, number >= 0 else {
                throw ViewerRequestError("a command has a number, its id")
            }
            self = .command(number: number, try ViewerCommand(message))
        case "token":
            guard let token = message["token"]?.string, token.utf8.count <= Self.tokenLength else {
                throw ViewerRequestError("a token is a text of at most \(Self.tokenLength) bytes")
            }
            self = .token(token)
        case "history":
            guard let number = message["id"]?.int, number >= 0 else {
                throw ViewerRequestError("a question for the history has a number, its id")
            }
            self = .history(number: number, try HistoryWish(message))
        default:
            throw ViewerRequestError("its type is none of next, view, detector, dropDetector, command, token, history")
        }
    }
}

extension PaneRequest {
    fileprivate init(_ value: JSONValue) throws(ViewerRequestError) {
        pane = try name(value, "pane")
        switch value["source"]?.string {
        case "channel":
            source = .channel(
                run: try name(value, "run"), udf: try name(value, "udf"), channel: try name(value, "channel"))
        case "detector": source = .detector(try VirtualDetector.id(value), channel: try name(value, "channel"))
        case "past":
            source = .past(
                try name(value, "acquisition"), run: try name(value, "run"), udf: try name(value, "udf"),
                channel: try name(value, "channel"))
        case "position":
            guard let position = value["position"]?.int, position >= 0, position < 1 << 40 else {
                throw ViewerRequestError("a position is a whole number from 0")
            }
            source = .position(position)
        default: throw ViewerRequestError("a pane's source is channel, detector, past or position")
        }
    }
}

extension VirtualDetector {
    private static let idLength = 12

    fileprivate init(_ value: JSONValue) throws(ViewerRequestError) {
        id = try Self.id(value)
        guard let udf = value["udf"]?.string, let allowed = Self.kinds[udf] else {
            throw ViewerRequestError(
                "a virtual detector is one of \(Self.kinds.keys.sorted().joined(separator: ", "))")
        }
        self.udf = udf
        var parameters: [String: String] = [:]
        for (name, value) in value["parameters"]?.members ?? [] {
            guard allowed.contains(name) else {
                throw ViewerRequestError("\(udf) has no parameter “\(name)”")
            }
            switch value {
            case .number(let number) where number.isFinite && abs(number) < 1e9:
                parameters[name] = Int(exactly: number).map(String.init) ?? "\(number)"
            case .bool(let flag): parameters[name] = flag ? "true" : "false"
            default: throw ViewerRequestError("the parameter \(name) of \(udf) is a number, or true or false")
            }
        }
        self.parameters = parameters
    }

    fileprivate static func id(_ value: JSONValue) throws(ViewerRequestError) -> String {
        let id = try name(value, "id")
        guard id.utf8.count <= idLength, !id.contains("."), !id.contains("-") else {
            throw ViewerRequestError("the id of a virtual detector is 1 to \(idLength) letters, digits and _")
        }
        return id
    }
}

extension HistoryWish {
    fileprivate init(_ value: JSONValue) throws(ViewerRequestError) {
        if let text = value["acquisition"] {
            guard let id = text.string.flatMap({ AcquisitionUUID(description: $0) }) else {
                throw ViewerRequestError("an acquisition is named by its UUID")
            }
            self = .acquisition(id)
            return
        }
        guard let before = value["before"], before != .null else {
            self = .list(before: nil)
            return
        }
        guard let number = before.int, number > 0 else {
            throw ViewerRequestError("before is a number of the history")
        }
        self = .list(before: UInt64(number))
    }
}

extension ViewerCommand {
    private static let settings = 32
    private static let settingLength = 256

    fileprivate init(_ value: JSONValue) throws(ViewerRequestError) {
        switch value["name"]?.string {
        case "arm": self = .arm(navShape: try Self.navShape(value))
        case "check": self = .check(try Self.scan(value))
        case "scan": self = .scan(try Self.scan(value))
        case "trigger": self = .trigger
        case "stop": self = .stop
        case "abort": self = .abort
        case "settings":
            let names = value["settings"]?.array ?? []
            guard (1...Self.settings).contains(names.count) else {
                throw ViewerRequestError("1 to \(Self.settings) settings are asked for at a time")
            }
            var read: [String] = []
            for name in names { read.append(try Self.variable(name)) }
            self = .settings(read)
        case "set":
            guard let text = value["value"]?.string, (1...Self.settingLength).contains(text.utf8.count),
                text.utf8.allSatisfy({ (0x20...0x7E).contains($0) && $0 != UInt8(ascii: ",") })
            else { throw ViewerRequestError("a setting's value is 1 to \(Self.settingLength) characters, no comma") }
            self = .set(try Self.variable(value["setting"]), to: text)
        default:
            throw ViewerRequestError("the command is none of arm, check, scan, trigger, stop, abort, settings, set")
        }
    }

    private static func scan(_ value: JSONValue) throws(ViewerRequestError) -> ScanWish {
        var wish = ScanWish(navShape: try navShape(value))
        guard let frames = value["frames"], frames != .null else { return wish }
        guard let count = frames.int, (1...Int(Int32.max)).contains(count) else {
            throw ViewerRequestError("frames is a whole number from 1")
        }
        wish.frames = count
        return wish
    }

    private static func navShape(_ value: JSONValue) throws(ViewerRequestError) -> [Int]? {
        guard let shape = value["navShape"], shape != .null else { return nil }
        let lengths = shape.array?.compactMap(\.int) ?? []
        guard lengths.count == 2, shape.array?.count == 2, lengths.allSatisfy({ (1...1 << 20).contains($0) }) else {
            throw ViewerRequestError("a scan's shape is two whole numbers, rows and columns")
        }
        return lengths
    }

    private static func variable(_ value: JSONValue?) throws(ViewerRequestError) -> String {
        guard let name = value?.string, (1...64).contains(name.utf8.count),
            name.utf8.allSatisfy({
                (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0)
                    || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) || $0 == UInt8(ascii: "_")
            })
        else { throw ViewerRequestError("a setting is named by capital letters, digits and _, such as COUNTERDEPTH") }
        return name
    }
}

private func name(_ value: JSONValue, _ member: String) throws(ViewerRequestError) -> String {
    guard let name = value[member]?.string, Topic.isValidSegment(name) else {
        throw ViewerRequestError("“\(member)” is a name of letters, digits, ., _ and -")
    }
    return name
}
