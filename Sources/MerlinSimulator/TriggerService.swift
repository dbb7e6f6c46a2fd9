import StemwireSystem

/// The trigger port: one client at a time sends `TRIGGER` lines, as a scan generator's pulses, and gets `FINISH` when
/// all frames of the trigger are sent (at once when no acquisition waits for triggers).
final class TriggerService: Sendable {
    private let core: SimulatorCore
    private let listener: TCPListener

    private static let maximumLine = 1024

    init(_ core: SimulatorCore, _ listener: TCPListener) {
        self.core = core
        self.listener = listener
    }

    /// Runs until the simulator ends.
    func run() {
        while let connection = core.accept(listener) {
            serve(connection)
            core.unregister(connection)
        }
    }

    private func serve(_ connection: TCPConnection) {
        var input: [UInt8] = []
        while !core.isStopping {
            while let line = Self.takeLine(&input) {
                guard line == "TRIGGER" else { continue }
                let ticket = core.state.withLock { $0.trigger() }
                core.stateChanged()
                while let ticket, !core.state.withLock({ $0.isDone(ticket) }) {
                    if core.isStopping { return }
                    if core.wait(for: core.triggerWakeUp, or: connection) == .readable {
                        guard Self.receive(connection, &input) else { return }
                    }
                }
                guard (try? connection.send("FINISH\n")) != nil else { return }
            }
            guard Self.receive(connection, &input) else { return }
        }
    }

    /// Reads what is there; false when the client is gone. What is too long for a line is thrown away.
    private static func receive(_ connection: TCPConnection, _ input: inout [UInt8]) -> Bool {
        var buffer = [UInt8](repeating: 0, count: 1024)
        guard case .bytes(let count) = buffer.withUnsafeMutableBytes({ connection.receive(into: $0) }) else {
            return false
        }
        input += buffer[..<count]
        if input.count > 64 * maximumLine { input.removeFirst(input.count - maximumLine) }
        return true
    }

    private static func takeLine(_ input: inout [UInt8]) -> String? {
        guard let end = input.firstIndex(of: UInt8(ascii: "\n")) else {
            if input.count > maximumLine { input.removeAll() }
            return nil
        }
        let line = String(decoding: input[..<end].filter { $0 != 0x0D && $0 != 0 }, as: UTF8.self)
        input.removeFirst(end + 1)
        return line
    }
}
