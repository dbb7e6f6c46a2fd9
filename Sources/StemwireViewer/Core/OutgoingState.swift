import StemwireClient
import StemwireProtocol

/// A message to a page: what has changed since the last one.
///
/// On the wire: header length (4 bytes, little-endian), 4 bytes 0, header (JSON, padded with spaces to a multiple of 8),
/// then arrays, each at a multiple of 8 bytes from the message's beginning; the header tells offsets and lengths.
struct OutgoingState: Sendable {
    struct Pane: Sendable {
        var pane: String
        /// Nil when there is nothing to show, and `problem` tells why.
        var channel: LiveState.Channel?
        var problem: String
    }

    var serial: UInt64
    var skipped: UInt64
    var permission: PagePermission
    var panes: [Pane]
    var answers: [ViewerSession.Answer]
    var notices: [LiveState.Notice]
    /// Whether the acquisitions before the present one are told.
    var tellsPast = false

    /// The message's bytes.
    func bytes(
        _ state: LiveState, detectors: [String: DetectorDesk.Entry], pages: Int, now: ContinuousClock.Instant
    ) -> [UInt8] {
        var arrays = ArrayList()
        var members = StateReport(state, detectors: detectors, now: now).members
        members.append(("serial", .int(serial)))
        members.append(
            (
                "viewer",
                .object([
                    ("skipped", .int(skipped)), ("pages", .int(pages)), ("mayControl", .bool(permission.mayControl)),
                    ("looksOnly", .bool(permission.looksOnly)), ("reason", .text(permission.reason)),
                    ("guest", permission.guest.map { .string($0.name) } ?? .null),
                    ("role", permission.guest.map { .string($0.role.rawValue) } ?? .null),
                ])
            ))
        members.append(("panes", .array(panes.map { $0.json(state, &arrays, now) })))
        members.append(
            (
                "answers",
                .array(
                    answers.map {
                        .object([
                            ("id", .int($0.number)), ("done", .bool($0.isDone)), ("text", .string($0.text)),
                            ("values", .object($0.values.map { ($0.name, .string($0.value)) })),
                            ("report", $0.report),
                        ])
                    })
            ))
        members.append(("notices", .array(notices.map(\.json))))
        if tellsPast { members.append(("past", StateReport.past(state))) }
        return arrays.message(.object(members))
    }
}

extension LiveState.Notice {
    var json: JSONValue {
        .object([
            ("number", .int(number)), ("severity", .string(severity.rawValue)), ("code", .string(code)),
            ("text", .string(text)),
        ])
    }
}

extension OutgoingState.Pane {
    fileprivate func json(_ state: LiveState, _ arrays: inout ArrayList, _ now: ContinuousClock.Instant) -> JSONValue {
        guard let channel else { return .object([("pane", .string(pane)), ("problem", .string(problem))]) }
        let content = channel.content
        let array = channel.page.array(of: content)
        var members: [(String, JSONValue)] = [
            ("pane", .string(pane)), ("run", .string(content.name.run)), ("udf", .string(content.name.udf)),
            ("channel", .string(content.name.channel)), ("version", .int(channel.version)),
            ("generation", .int(content.generation)), ("kind", .string(content.kind.word)),
            ("dtype", .string(array.dtype)), ("sourceDtype", .string(content.dtype.rawValue)),
            ("shape", .ints(content.shape)), ("navShape", .ints(content.navShape)),
            ("processed", .int(content.positionsProcessed)), ("expected", .int(content.positionsExpected)),
            ("final", .bool(content.isFinal)), ("ageMs", .number(now.milliseconds(since: channel.receivedAt))),
            ("parameterGeneration", .int(content.parameterGeneration)), ("seams", .array(content.seams)),
            ("data", arrays.add(array.bytes)),
        ]
        if content.kind == .nav {
            let positions = content.navShape.reduce(1, *)
            let map = content.withValidMask { mask in
                Coverage.map(mask: mask, positions: positions, account: state.account(of: content))
            }
            members.append(("coverage", arrays.add(map)))
        }
        if let frame = content as? FrameContent { members.append(("position", .int(frame.position))) }
        return .object(members)
    }
}

extension ChannelContent {
    /// Stretches that are told at most.
    private var seamLimit: Int { 1024 }

    /// Where positions were made with earlier parameters: first position, position behind the last, generation.
    fileprivate var seams: [JSONValue] {
        generations.prefix(seamLimit).map {
            .ints([$0.positions.lowerBound, $0.positions.upperBound, $0.generation])
        }
    }
}

/// The arrays behind a header.
private struct ArrayList {
    private var arrays: [[UInt8]] = []
    private var count = 0

    /// - Returns: the place of the array, from the end of the header.
    mutating func add(_ array: [UInt8]) -> JSONValue {
        let place = count
        arrays.append(array)
        count += (array.count + 7) / 8 * 8
        return .object([("offset", .int(place)), ("bytes", .int(array.count))])
    }

    func message(_ header: JSONValue) -> [UInt8] {
        var text = Array(header.text.utf8)
        text += [UInt8](repeating: UInt8(ascii: " "), count: (8 - text.count % 8) % 8)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(8 + text.count + count)
        for shift in stride(from: 0, to: 32, by: 8) { bytes.append(UInt8(truncatingIfNeeded: text.count >> shift)) }
        bytes += [0, 0, 0, 0]
        bytes += text
        for array in arrays {
            bytes += array
            bytes += [UInt8](repeating: 0, count: (8 - array.count % 8) % 8)
        }
        return bytes
    }
}

extension ChannelUpdate.Kind {
    var word: String {
        switch self {
        case .nav: "nav"
        case .sig: "sig"
        case .single: "single"
        }
    }
}

extension ContinuousClock.Instant {
    func milliseconds(since earlier: ContinuousClock.Instant) -> Double {
        ((self - earlier) / .microseconds(1)).rounded() / 1000
    }
}
