import Foundation
import Logging
import ServiceLifecycle
import StemwireSystem

/// Parts of a program that were started one after the other: waits for SIGTERM or SIGINT, and stops them in the opposite order.
struct RunningServices {
    private struct Part: Service {
        let name: String
        let logger: Logger
        let stop: @Sendable () async -> Void

        func run() async throws {
            try? await gracefulShutdown()
            let began = ContinuousClock.now
            await stop()
            logger.info("stopped \(name)", metadata: ["seconds": "\((.now - began) / .seconds(1))"])
        }
    }

    private let logger: Logger
    /// How long stopping may take; what was received is worked off and told in it.
    private let limit: Duration
    private var parts: [Part] = []

    init(stopWithin limit: Duration, logger: Logger) {
        (self.limit, self.logger) = (limit, logger)
    }

    mutating func add(_ name: String, stop: @escaping @Sendable () async -> Void) {
        parts.append(Part(name: name, logger: logger, stop: stop))
    }

    /// Runs until a signal has come and all is stopped. A second signal ends the process at once.
    ///
    /// - Parameter stopping: called when the signal has come.
    /// - Returns: the signal.
    /// - Throws: `CommandFailure` when stopping took too long: parts may be left.
    func run(stopping: @escaping @Sendable () -> Void = {}) async throws -> Interruption.Signal {
        let group = ServiceGroup(
            configuration: .init(
                services: parts.map {
                    // Parts end when they are told to, and not before.
                    .init(service: $0, successTerminationBehavior: .ignore, failureTerminationBehavior: .ignore)
                }, logger: logger))
        let running = Task { try await group.run() }
        let signal = try await Interruption.wait()
        logger.notice("stopping", metadata: ["signal": "\(signal)", "within": "\(limit)"])
        stopping()
        await group.triggerGracefulShutdown()
        let isInTime = await Self.ends(running, within: limit)
        guard isInTime else {
            throw CommandFailure.failure("stopping took more than \(limit) (--stop-timeout); what was left is given up")
        }
        return signal
    }

    private static func ends(_ task: Task<Void, any Error>, within limit: Duration) async -> Bool {
        // The first who comes answers: the other one is not waited for.
        let answer = AsyncStream.makeStream(of: Bool.self)
        Task {
            _ = try? await task.value
            answer.continuation.yield(true)
        }
        Task {
            try? await Task.sleep(for: limit)
            answer.continuation.yield(false)
        }
        for await isInTime in answer.stream { return isInTime }
        return false
    }
}
