import StemwireClient
import StemwireSystem

/// What is to be sent to clients of the data port, in order.
enum DataMessage: Sendable {
    /// Complete messages, prefixes included.
    case header([UInt8])
    case frames(FrameTile)

    var byteCount: Int {
        switch self {
        case .header(let bytes): bytes.count
        case .frames(let tile): tile.byteCount
        }
    }
}

/// Gives each message to every client that has seen its acquisition begin. All methods from any thread.
final class FanOut: Sendable {
    private struct State: Sendable {
        var outlets: [Outlet] = []
        /// The header of the acquisition that runs, as long as no frame has followed it.
        var header: DataMessage?
        var isOver = false
    }

    private let state = Locked(State())
    private let queueBytes: Int

    /// - Parameter queueBytes: What may wait for one client.
    init(queueBytes: Int) { self.queueBytes = queueBytes }

    /// For a new client; nil when there will be no more messages.
    func open() -> Outlet? {
        state.withLock { state in
            guard !state.isOver else { return nil }
            let outlet = Outlet(limit: queueBytes)
            if let header = state.header { outlet.push(header) }
            state.outlets.append(outlet)
            return outlet
        }
    }

    func close(_ outlet: Outlet) {
        outlet.end()
        state.withLock { $0.outlets.removeAll { $0 === outlet } }
    }

    /// - Returns: Clients that are let go, since too much waited for them.
    func send(_ message: DataMessage) -> Int {
        state.withLock { state in
            if case .header = message { state.header = message } else { state.header = nil }
            let count = state.outlets.count
            state.outlets.removeAll { !$0.push(message) }
            return count - state.outlets.count
        }
    }

    /// No header is to be given to clients that come later.
    func endAcquisition() { state.withLock { $0.header = nil } }

    func end() {
        let outlets = state.withLock { state in
            defer { state.outlets = [] }
            state.isOver = true
            return state.outlets
        }
        for outlet in outlets { outlet.end() }
    }
}

/// The messages that wait for one client.
final class Outlet: Sendable {
    private struct State: Sendable {
        var messages: [DataMessage] = []
        var first = 0
        var bytes = 0
        var hasBegun = false
        var isEnded = false
    }

    enum Next {
        case message(DataMessage)
        case nothing
        case ended
    }

    private let state = Locked(State())
    private let isFilled = CountingSemaphore()
    private let limit: Int

    init(limit: Int) { self.limit = limit }

    /// False when there was no room; the outlet has ended then.
    @discardableResult
    func push(_ message: DataMessage) -> Bool {
        let isTaken = state.withLock { state in
            if case .header = message { state.hasBegun = true }
            guard state.hasBegun, !state.isEnded else { return true }
            guard state.bytes + message.byteCount <= limit || state.bytes == 0 else {
                state.isEnded = true
                return false
            }
            state.messages.append(message)
            state.bytes += message.byteCount
            return true
        }
        isFilled.post()
        return isTaken
    }

    func end() {
        state.withLock { $0.isEnded = true }
        isFilled.post()
    }

    /// Waits for the next message.
    func next(_ patience: Duration) -> Next {
        _ = isFilled.wait(timeout: patience)
        return state.withLock { state in
            guard !state.isEnded else { return .ended }
            guard state.first < state.messages.count else { return .nothing }
            let message = state.messages[state.first]
            state.first += 1
            state.bytes -= message.byteCount
            if state.first >= 64 || state.first == state.messages.count {
                state.messages.removeFirst(state.first)
                state.first = 0
            }
            return .message(message)
        }
    }
}
