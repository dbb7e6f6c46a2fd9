import Foundation

/// Another process that takes part: ends when this object, or this process, goes.
final class Peer {
    let process = Process()
    private let input = Pipe()
    private let output = Pipe()
    private var rest = Data()

    /// Frames of a format as the C detector sends them.
    enum Format: String {
        case u16, u08
        case raw6 = "r64-6"
        case raw1 = "r64-1"

        var name: String {
            switch self {
            case .u16: "U16"
            case .u08: "U08"
            case .raw6: "R64 6-bit"
            case .raw1: "R64 1-bit"
            }
        }

        /// A whole square of them, about a second's worth.
        var frames: Int {
            switch self {
            case .u16: 128 * 128
            case .u08, .raw6: 192 * 192
            case .raw1: 512 * 512
            }
        }
    }

    /// A detector in C that sends `frames` frames to whoever connects. Returns its port.
    static func detector(_ format: Format, frames: Int) throws -> (Peer, port: Int) {
        let peer = try Peer(folder.appendingPathComponent("BenchPeer"), ["detector", format.rawValue, "\(frames)"])
        return (peer, try peer.readNumbers(1)[0])
    }

    /// A detector in C that sends `frames` frames to its first client for each call of ``demand()``. Returns its port.
    static func detectorOnDemand(_ format: Format, frames: Int) throws -> (Peer, port: Int) {
        let peer = try Peer(
            folder.appendingPathComponent("BenchPeer"), ["detector-on-demand", format.rawValue, "\(frames)"])
        return (peer, try peer.readNumbers(1)[0])
    }

    func demand() { kill(process.processIdentifier, SIGUSR1) }

    /// A bare libzmq publisher of `messages` messages to whoever subscribes. Returns its port.
    static func publisher(bytes: Int, messages: Int) throws -> (Peer, port: Int) {
        let peer = try Peer(folder.appendingPathComponent("BenchPeer"), ["publisher", "\(bytes)", "\(messages)"])
        return (peer, try peer.readNumbers(1)[0])
    }

    /// A bare libzmq ROUTER that sends `messages` messages for each one it gets. Returns its port.
    ///
    /// - Parameters:
    ///   - buffers: messages that may be on their way at once.
    ///   - endpoint: to bind to, such as `ipc://path`.
    static func router(bytes: Int, messages: Int, buffers: Int, at endpoint: String) throws -> (Peer, port: Int) {
        let peer = try Peer(
            folder.appendingPathComponent("BenchPeer"), ["router", "\(bytes)", "\(messages)", "\(buffers)", endpoint])
        return (peer, try peer.readNumbers(1)[0])
    }

    /// So many subscribers to all that is published at a port, which never read.
    static func silentSubscribers(_ count: Int, port: Int) throws -> Peer {
        let peer = try Peer(folder.appendingPathComponent("BenchPeer"), ["subscribers", "\(count)", "\(port)"])
        _ = try peer.readNumbers(1)
        return peer
    }

    /// This program in another role.
    static func child(_ role: ChildRole, _ words: [String], preloading library: String? = nil) throws -> Peer {
        let variables = library.map { ["LD_PRELOAD": folder.appendingPathComponent($0).path] } ?? [:]
        return try Peer(folder.appendingPathComponent("Bench"), [role.rawValue] + words, adding: variables)
    }

    private static let folder = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        .deletingLastPathComponent()

    private init(_ program: URL, _ words: [String], adding variables: [String: String] = [:]) throws {
        process.executableURL = program
        process.arguments = words
        process.environment = ProcessInfo.processInfo.environment.merging(variables) { $1 }
        process.standardInput = input
        process.standardOutput = output
        try process.run()
    }

    deinit { end() }

    func end() {
        try? input.fileHandleForWriting.close()
        process.waitUntilExit()
    }

    /// Sends a line.
    func tell(_ text: String) throws { try input.fileHandleForWriting.write(contentsOf: Data((text + "\n").utf8)) }

    /// Waits for a line of so many numbers.
    func readNumbers(_ count: Int) throws -> [Int] {
        while !rest.contains(UInt8(ascii: "\n")) {
            let more = output.fileHandleForReading.availableData
            guard !more.isEmpty else { throw BenchFailure("\(process.arguments ?? []) ended without an answer") }
            rest += more
        }
        let line = rest.prefix { $0 != UInt8(ascii: "\n") }
        rest = Data(rest.dropFirst(line.count + 1))
        let numbers = String(decoding: line, as: UTF8.self).split(separator: " ").compactMap { Int($0) }
        guard numbers.count == count else { throw BenchFailure("\(process.arguments ?? []) said: \(numbers)") }
        return numbers
    }

    /// Processor time of all its threads so far, in seconds, but of one with this name.
    func processorSeconds(besides name: String = "") throws -> Double {
        let folder = "/proc/\(process.processIdentifier)/task"
        var nanoseconds = 0
        for thread in try FileManager.default.contentsOfDirectory(atPath: folder) {
            // It may have ended meanwhile.
            guard let own = try? String(contentsOfFile: "\(folder)/\(thread)/comm", encoding: .utf8),
                let times = try? String(contentsOfFile: "\(folder)/\(thread)/schedstat", encoding: .utf8)
            else { continue }
            guard own.trimmingCharacters(in: .whitespacesAndNewlines) != name else { continue }
            nanoseconds += times.split(separator: " ").first.flatMap { Int($0) } ?? 0
        }
        return Double(nanoseconds) / 1e9
    }

    /// The memory that the process holds now, in bytes.
    func memory() throws -> Int { try memory("VmRSS:") }

    /// The most memory the process has held so far, in bytes.
    func peakMemory() throws -> Int { try memory("VmHWM:") }

    private func memory(_ name: String) throws -> Int {
        let status = try String(contentsOfFile: "/proc/\(process.processIdentifier)/status", encoding: .utf8)
        guard let line = status.split(separator: "\n").first(where: { $0.hasPrefix(name) }),
            let kilobytes = line.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap({ Int($0) })
        else { throw BenchFailure("the system does not tell a process's memory") }
        return kilobytes << 10
    }
}
