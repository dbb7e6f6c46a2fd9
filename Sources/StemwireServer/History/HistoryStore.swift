import Foundation
import GRDB
import Logging
import StemwireAcquisition
import StemwireProtocol
import StemwireSystem

/// Acquisitions in a SQLite file: what was acquired, how it ended, what was made of it.
///
/// A thread of its own writes; whoever reports an acquisition waits for nothing. A file that cannot be written, is locked
/// or damaged costs entries, which are counted, and never an acquisition. All methods from any thread.
final class HistoryStore: Sendable {
    /// Entries that wait to be written; each may hold an acquisition's results in memory.
    static let longestQueue = 64

    private enum Job: Sendable {
        case write(@Sendable () -> WireHistoryEntry)
        case read(WireHistoryRequest, CheckedContinuation<Result<WireHistory, RequestFailure>, Never>)
    }

    private struct Inbox: Sendable {
        var jobs: [Job] = []
        var writes = 0
        var lost: UInt64 = 0
        var failure = ""
        var isStopped = false
    }

    private final class Shared: Sendable {
        let path: String
        let lockPatience: Duration
        let retryPause: Duration
        let logger: Logger
        let inbox = Locked(Inbox())
        let wakeUp = CountingSemaphore()

        init(_ path: String, _ lockPatience: Duration, _ retryPause: Duration, _ logger: Logger) {
            self.path = path
            self.lockPatience = lockPatience
            self.retryPause = retryPause
            self.logger = logger
        }

        func run() {
            var file: HistoryFile?
            var failedAt: ContinuousClock.Instant?
            while true {
                wakeUp.wait()
                let (job, isStopped) = inbox.withLock { inbox in
                    (inbox.jobs.isEmpty ? nil : inbox.jobs.removeFirst(), inbox.isStopped)
                }
                guard let job else {
                    if isStopped { return }
                    continue
                }
                if file == nil, failedAt.map({ .now - $0 >= retryPause }) ?? true {
                    do {
                        file = try HistoryFile(path: path, lockPatience: lockPatience)
                        failedAt = nil
                    } catch {
                        failedAt = .now
                        failed(error)
                    }
                }
                do {
                    try perform(job, file)
                } catch {
                    // The next one opens it anew: it may have been replaced, or the disk be there again.
                    file = nil
                    failedAt = .now
                    failed(error)
                }
            }
        }

        private func perform(_ job: Job, _ file: HistoryFile?) throws {
            switch job {
            case .write(let entry):
                inbox.withLock { $0.writes -= 1 }
                guard let file else { return inbox.withLock { $0.lost += 1 } }
                do {
                    try file.write(entry())
                } catch {
                    inbox.withLock { $0.lost += 1 }
                    throw error
                }
            case .read(let wanted, let continuation):
                guard let file else {
                    let failure = inbox.withLock { $0.failure }
                    continuation.resume(
                        returning: .failure(
                            RequestFailure(code: .internal, message: "the history \(path) cannot be read: \(failure)")))
                    return
                }
                do {
                    var history = try file.read(wanted)
                    history.lost = inbox.withLock { $0.lost }
                    continuation.resume(returning: .success(history))
                } catch {
                    continuation.resume(
                        returning: .failure(
                            RequestFailure(code: .internal, message: "the history \(path) cannot be read: \(error)")))
                    throw error
                }
            }
        }

        private func failed(_ error: any Error) {
            let text = "\(error)"
            let isNews = inbox.withLock { inbox in
                defer { inbox.failure = text }
                return inbox.failure != text
            }
            if isNews {
                logger.error("the history cannot be kept", metadata: ["file": "\(path)", "reason": "\(text)"])
            }
        }
    }

    private let shared: Shared
    private let thread: NamedThread

    /// - Parameters:
    ///   - path: of the file, which is made when the first entry comes, with the directories it lies in.
    ///   - lockPatience: how long another process may have the file locked.
    ///   - retryPause: how long a file that failed is left alone.
    init(
        path: String, logger: Logger, lockPatience: Duration = .seconds(1), retryPause: Duration = .seconds(5)
    ) throws(SystemError) {
        let shared = Shared(path, lockPatience, retryPause, logger)
        self.shared = shared
        thread = try NamedThread("history") { shared.run() }
    }

    /// Has an acquisition written; what was written of it before is replaced.
    ///
    /// - Parameter entry: made on the store's thread.
    func note(_ entry: @escaping @Sendable () -> WireHistoryEntry) {
        let isTaken = shared.inbox.withLock { inbox in
            guard !inbox.isStopped, inbox.writes < Self.longestQueue else {
                inbox.lost += 1
                return false
            }
            inbox.writes += 1
            inbox.jobs.append(.write(entry))
            return true
        }
        if isTaken { shared.wakeUp.post() }
    }

    func read(_ wanted: WireHistoryRequest) async throws(RequestFailure) -> WireHistory {
        let result = await withCheckedContinuation { continuation in
            let isTaken = shared.inbox.withLock { inbox in
                guard !inbox.isStopped else { return false }
                inbox.jobs.append(.read(wanted, continuation))
                return true
            }
            guard isTaken else {
                return continuation.resume(
                    returning: .failure(RequestFailure(code: .wrongState, message: "the server is shutting down")))
            }
            shared.wakeUp.post()
        }
        return try result.get()
    }

    /// Entries that could not be written.
    var lost: UInt64 { shared.inbox.withLock { $0.lost } }

    /// Writes what is waiting, and ends. To be called once.
    func stop() {
        shared.inbox.withLock { $0.isStopped = true }
        shared.wakeUp.post()
        thread.join()
    }
}
