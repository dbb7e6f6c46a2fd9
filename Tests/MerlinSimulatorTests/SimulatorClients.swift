import MerlinProtocol
import MerlinSimulator
import StemwireSystem
import Testing

/// A client of the data port for tests.
final class DataClient {
    let connection: TCPConnection
    private var buffer: [UInt8] = []
    private var parser = MPXStreamParser()
    /// Bytes that were no message.
    private(set) var garbage = 0

    struct Message {
        var kind: MPXMessage.Kind
        var body: [UInt8]

        var header: AcquisitionHeader? {
            body.withUnsafeBytes { try? AcquisitionHeader.parse($0) }
        }
        var fields: FrameHeaderFields? {
            body.withUnsafeBytes { try? FrameHeaderFields.parse($0) }
        }
        /// The sequence number; 0 for other messages than frames.
        var number: UInt64 { fields?.sequenceNumber ?? 0 }
        var payload: ArraySlice<UInt8> { body[(fields?.dataOffset ?? 0)...] }
    }

    init(_ ports: MerlinSimulator.Ports) throws {
        connection = try .connect(host: "127.0.0.1", port: ports.data, timeout: .seconds(5))
        connection.setReceiveTimeout(.seconds(10))
    }

    /// The next intact message; nil at the end of the connection or after ten seconds without one.
    ///
    /// - Parameter quiet: take the last message of a burst without looking at what follows it.
    func next(quiet: Bool = true) -> Message? {
        while true {
            let step = buffer.withUnsafeBytes { parser.next($0, quiet: false) }
            switch step {
            case .skipped(let count):
                garbage += count
                buffer.removeFirst(count)
            case .message(let message):
                return take(message)
            case .needMore:
                if quiet, case .message(let message) = buffer.withUnsafeBytes({ parser.next($0, quiet: true) }) {
                    return take(message)
                }
                guard receive() else { return nil }
            }
        }
    }

    /// So many messages, fewer at the end of the connection.
    func messages(_ count: Int) -> [Message] {
        var messages: [Message] = []
        while messages.count < count, let message = next() { messages.append(message) }
        return messages
    }

    /// Whether nothing comes for a moment.
    var isSilent: Bool { buffer.isEmpty && !connection.waitReadable(timeout: .milliseconds(30)) }

    /// Reads to the end of the connection; false if it does not come.
    func readsToEnd() -> Bool {
        while true {
            var bytes = [UInt8](repeating: 0, count: 65536)
            switch bytes.withUnsafeMutableBytes({ connection.receive(into: $0) }) {
            case .bytes(let count): buffer += bytes[..<count]
            case .closed, .failed: return true
            case .timedOut: return false
            }
        }
    }

    /// What was received and not parsed.
    var rest: [UInt8] { buffer }

    private func take(_ message: MPXMessage) -> Message {
        let body = Array(buffer[message.bodyRange])
        buffer.removeFirst(message.totalBytes)
        return Message(kind: message.kind, body: body)
    }

    private func receive() -> Bool {
        var bytes = [UInt8](repeating: 0, count: 65536)
        guard case .bytes(let count) = bytes.withUnsafeMutableBytes({ connection.receive(into: $0) }) else {
            return false
        }
        buffer += bytes[..<count]
        return true
    }
}

/// A client of the control port for tests.
final class ControlClient {
    let connection: TCPConnection
    private var parser = ControlStreamParser()

    init(_ ports: MerlinSimulator.Ports) throws {
        connection = try .connect(host: "127.0.0.1", port: ports.control, timeout: .seconds(5))
        connection.setReceiveTimeout(.seconds(10))
    }

    /// Sends a request and waits for its answer; nil if the connection ends.
    func ask(_ text: String) -> String? {
        let message = MPXPrefix.encoded(bodyBytes: text.utf8.count) + text.utf8
        guard (try? message.withUnsafeBytes({ try connection.send($0) })) != nil else { return nil }
        return reply()
    }

    func reply() -> String? {
        while true {
            if case .success(let reply)? = parser.nextReply() { return "\(reply)" }
            var bytes = [UInt8](repeating: 0, count: 4096)
            guard case .bytes(let count) = bytes.withUnsafeMutableBytes({ connection.receive(into: $0) }) else {
                return nil
            }
            parser.append(bytes[..<count])
        }
    }
}

/// A simulator of small frames on free ports, stopped at the end.
final class TestDetector {
    let simulator: MerlinSimulator
    let ports: MerlinSimulator.Ports

    init(
        _ source: SimulatorConfiguration.Source = .selfIdentifying, frames: [Int] = [4, 5],
        change: (inout SimulatorConfiguration) throws -> Void = { _ in }
    ) throws {
        var configuration = SimulatorConfiguration(source: source)
        (configuration.controlPort, configuration.dataPort, configuration.triggerPort) = (0, 0, 0)
        configuration.mode = .triggered
        if case .recording = source {
        } else {
            configuration.navShape = frames
            configuration.sigShape = SigShape(height: 8, width: 8)
            configuration.counterDepth = .six
        }
        try change(&configuration)
        simulator = try MerlinSimulator(configuration)
        ports = try simulator.start()
    }

    deinit { simulator.stop() }

    static let pattern = SelfIdentifyingPattern(
        try! DetectorFormat(
            layout: .single, sigShape: SigShape(height: 8, width: 8), counterDepth: .six, pixelType: .u08))
}
