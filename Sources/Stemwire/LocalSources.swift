import MerlinProtocol
import MerlinSimulator
import StemwireAcquisition
import StemwireSystem
import Synchronization

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
    private let receiver: MerlinReceiver
    private let end = Locked<ReceiverEnd?>(nil)

    init(receiver: MerlinReceiver) { self.receiver = receiver }

    func stop() {
        receiver.stop()
        let reason = receiver.join()
        end.withLock { $0 = $0 ?? reason }
    }

    var failure: String? { nil }
    var hasEnded: Bool { receiver.consumers.first?.isClosed ?? true }
    var endText: String { (receiver.join() ?? .connectionClosed).description }
}

/// The embedded simulator with the connection to it.
struct SimulatedSource: ActiveSource {
    let detector: any ActiveSource
    let simulator: MerlinSimulator

    func stop() {
        detector.stop()
        simulator.stop()
    }

    var failure: String? { detector.failure }
    var hasEnded: Bool { detector.hasEnded }
    var endText: String { detector.endText }
}

/// A recording, played on a thread of its own.
final class FileSource: ActiveSource {
    final class State: Sendable {
        let error = Locked<String?>(nil)
        let hasEnded = Atomic<Bool>(false)
    }

    private let source: MIBFileSource
    private let state = State()
    private let thread: Locked<NamedThread?>

    init(_ source: MIBFileSource) throws(SystemError) {
        self.source = source
        let state = state
        let reader = try NamedThread("mib-reader") {
            do throws(MIBError) {
                try source.run()
            } catch {
                state.error.withLock { $0 = error.description }
            }
            state.hasEnded.store(true, ordering: .releasing)
        }
        thread = Locked(reader)
    }

    func stop() {
        source.stop()
        let ending = thread.withLock { thread in
            defer { thread = nil }
            return thread
        }
        ending?.join()
    }

    var failure: String? { state.error.withLock { $0 } }
    var hasEnded: Bool { state.hasEnded.load(ordering: .acquiring) }
    var endText: String { "the recording has no good frame" }
}
