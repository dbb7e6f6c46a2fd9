import StemwireProtocol
import ZeroMQ

/// One fetch on the reactor: its consumer and the connection it uses.
final class FetchTask {
    let number: UInt64
    let mailbox: Mailbox<FetchQueue, FetchError>
    let counters: LiveCounters
    let work: WorkChannel
    /// Whether the server has sent all that it will.
    var isOver = false

    init(
        number: UInt64, mailbox: Mailbox<FetchQueue, FetchError>, counters: LiveCounters, work: WorkChannel
    ) {
        self.number = number
        self.mailbox = mailbox
        self.counters = counters
        self.work = work
    }
}

extension ClientCore {
    /// Work connections that are kept for the next fetch.
    private static let idlePeerLimit = 2
    /// How long they are kept.
    private static let idlePeerTime = Duration.seconds(10)

    func openWork(
        window: FetchPeer.Window, patience: Duration, verifiesChecksums: Bool, handlers: WorkChannel.Handlers
    ) throws(ZMQError) -> WorkChannel {
        guard let server, !isClosed else { throw ZMQError(.closed, "open work connection") }
        if server.workPort == 0 { throw ZMQError(.notSupported, "fetch frames", subject: relaysDoNotFetch) }
        let settings = WorkChannel.Settings(
            endpoint: endpoint, port: server.workPort, client: options.clientName, window: window, patience: patience,
            verifiesChecksums: verifiesChecksums, token: options.token)
        return try WorkChannel(settings, in: context, on: reactor, handlers: handlers)
    }

    private var relaysDoNotFetch: String { "\(endpoint) is a relay; frames are fetched from the server itself" }

    func startFetch(
        number: UInt64, acquisition: AcquisitionUUID, positions: Range<Int>, patience: Duration,
        mailbox: Mailbox<FetchQueue, FetchError>, counters: LiveCounters
    ) {
        guard !mailbox.isFinished else { return }
        guard !isClosed else { return mailbox.finish(.closed) }
        guard server?.workPort != 0 else {
            return mailbox.finish(.refused(ControlFailure(.wrongState, relaysDoNotFetch)))
        }
        do throws(ZMQError) {
            let work: WorkChannel
            if let index = idlePeers.firstIndex(where: { $0.isReusable && $0.patience == patience }) {
                work = idlePeers.remove(at: index)
            } else {
                work = try openWork(
                    window: FetchPeer.Window(), patience: patience, verifiesChecksums: verifiesTiles,
                    handlers: WorkChannel.Handlers())
            }
            let task = FetchTask(number: number, mailbox: mailbox, counters: counters, work: work)
            fetches[number] = task
            work.handlers = handlers(for: task)
            work.fetch(request: number, acquisition: acquisition, positions: positions, now: .now)
        } catch {
            mailbox.finish(.system(error.description))
        }
    }

    private func handlers(for task: FetchTask) -> WorkChannel.Handlers {
        WorkChannel.Handlers(
            tile: { _, tile, _ in
                task.mailbox.update { $0.append(.tile(tile)) }
                task.counters.change {
                    $0.messages += 1
                    $0.frames += tile.count
                }
            },
            ended: { [self] _, unavailable, _ in
                for item in unavailable { task.mailbox.update { $0.append(.unavailable(item)) } }
                task.isOver = true
                task.mailbox.finish()
                keepIfDone(task)
            },
            failed: { [self] _, error, _ in end(fetch: task.number, error) })
    }

    /// The consumer has taken a tile.
    func released(fetch number: UInt64, bytes: Int) {
        guard let task = fetches[number] else { return }
        task.work.released(items: 1, bytes: bytes, now: .now)
        keepIfDone(task)
    }

    /// Keeps the connection of a fetch that is over, and whose tiles were taken, for the next one.
    private func keepIfDone(_ task: FetchTask) {
        guard task.isOver, task.work.isReusable, fetches.removeValue(forKey: task.number) != nil else { return }
        let work = task.work
        work.handlers = WorkChannel.Handlers()
        guard idlePeers.count < Self.idlePeerLimit, !isClosed else { return work.close() }
        idlePeers.append(work)
        reactor.schedule(after: Self.idlePeerTime) { [self] in
            guard let index = idlePeers.firstIndex(where: { $0 === work }) else { return }
            idlePeers.remove(at: index)
            work.close()
        }
    }

    /// Ends a fetch before its time: there is no way to stop the server but to go.
    func end(fetch number: UInt64, _ error: FetchError?) {
        guard let task = fetches.removeValue(forKey: number) else { return }
        task.work.handlers = WorkChannel.Handlers()
        task.work.close()
        task.mailbox.finish(error)
    }
}
