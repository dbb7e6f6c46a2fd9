import MerlinProtocol
import StemwireAcquisition
import StemwireSystem
import Synchronization

extension LocalSource {
    /// The ring that suits frames that the engine's threads read for themselves; nil for all others.
    func ring(for options: RunOptions) -> FrameRing.Configuration? {
        switch self {
        case .recording(let set):
            PixelReading.ring(
                format: set.format, framesPerPartition: options.framesPerPartition, consumers: options.threads)
        case .memory(let frames):
            MemorySource.ring(
                sigShape: frames.sigShape, pixelType: frames.pixelType,
                framesPerPartition: options.framesPerPartition, consumers: options.threads)
        case .merlin, .simulator: nil
        }
    }
}

/// What feeds a pipeline, and how to end it.
protocol ActiveSource: Sendable {
    /// Ends the source. May be called again.
    func stop()
    /// What broke it, if something did.
    var failure: String? { get }
    /// Whether nothing more will come.
    var hasEnded: Bool { get }
    /// Why, in words.
    var endText: String { get }
}

/// A detector's data connection.
final class DetectorSource: ActiveSource {
    let receiver: MerlinReceiver
    private let end = Locked<ReceiverEnd?>(nil)

    init(receiver: MerlinReceiver) { self.receiver = receiver }

    func stop() {
        receiver.stop()
        let reason = receiver.join()
        end.withLock { $0 = $0 ?? reason }
    }

    var failure: String? { nil }
    var hasEnded: Bool { receiver.consumers.first?.isClosed ?? true }
    var endText: String { (end.value ?? receiver.join() ?? .connectionClosed).description }
}

/// Frames that are here already, given on a thread of their own from `start()` on.
final class FeedSource: ActiveSource {
    private struct State {
        var thread: NamedThread?
        var hasBegun = false
        var error: String?
        var hasEnded = false
    }

    private let name: String
    private let run: @Sendable () throws -> Void
    private let interrupt: @Sendable () -> Void
    private let readingFailure: @Sendable () -> (any Error)?
    private let state = Locked(State())

    init(_ source: MIBFileSource) {
        name = "recording"
        run = { try source.run() }
        interrupt = { source.stop() }
        readingFailure = { source.readingFailure }
    }

    init(_ source: MemorySource) {
        name = "array"
        run = { try source.run() }
        interrupt = { source.stop() }
        readingFailure = { source.readingFailure }
    }

    /// Begins; the second time it does nothing.
    func start() throws(SystemError) {
        try state.withLock { state throws(SystemError) in
            guard !state.hasBegun else { return }
            state.hasBegun = true
            state.thread = try NamedThread("frames") { [run, shared = self.state] in
                var problem: String?
                do { try run() } catch { problem = "\(error)" }
                shared.withLock { $0.error = problem }
                shared.withLock { $0.hasEnded = true }
            }
        }
    }

    func stop() {
        interrupt()
        let ending = state.withLock { state in
            defer { state.thread = nil }
            return state.thread
        }
        ending?.join()
    }

    var failure: String? { state.withLock { $0.error } ?? readingFailure().map { "\($0)" } }
    var hasEnded: Bool { state.withLock { $0.hasEnded } }
    var endText: String { "the \(name) has no good frame" }
}
