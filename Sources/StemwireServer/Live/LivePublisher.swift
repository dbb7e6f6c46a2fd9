import StemwireAcquisition
import StemwireKernels
import StemwireProtocol
import StemwireSystem
import SwiftProtobuf
import Synchronization
import ZeroMQ

/// The live socket: starts, tiles, result updates, ends, events and status, to whoever subscribes.
///
/// Lives on its reactor's thread, which the tile queue wakes. What a subscriber does not take is dropped for it by the
/// socket; what all of them together hold of the ring is bounded by `TilePins`.
actor LivePublisher {
    /// Updates sent in one go, so that a burst of many channels fits into the queues.
    static let updatesAtOnce = 8
    private static let eventsAtOnce = 256
    private static let longestBacklog = 64

    private let reactor: Reactor
    private let ring: FrameRing
    private let queue: TileQueue
    private let wakeUp: WakeUp
    private let pins: TilePins
    private let table: RunTable
    private let session: [UInt8]
    private let source: String
    private let sendsChecksums: Bool
    private let updateInterval: Duration
    private let status: @Sendable () -> WireStatus

    private let socket: PublisherSocket
    private let tileTopic: String
    private var wantsTiles = false
    private var sequences = TopicSequences()
    private var present: (record: AcquisitionRecord, format: WireFrameFormat)?
    private var tilesInAcquisition: (published: UInt64, dropped: UInt64) = (0, 0)
    /// What waits for room in the queues.
    private var pace: PacedQueue<AcquisitionEvent>?
    private let results: ResultDesk
    private var updates: UpdatePlan
    private var isUpdating = false
    private var whenUpdated: CheckedContinuation<Void, Never>?

    /// What the status says of this socket; read by other threads.
    nonisolated let counters = Counters()

    final class Counters: Sendable {
        let subscriptions = Atomic<Int>(0)
        let refusedSubscriptions = Atomic<UInt64>(0)
        let tilesPublished = Atomic<UInt64>(0)
        let tilesDropped = Atomic<UInt64>(0)
        let updatesPublished = Atomic<UInt64>(0)
        /// When the last one was; wall clock, nanoseconds.
        let updatedAt = Atomic<UInt64>(0)
    }

    nonisolated var unownedExecutor: UnownedSerialExecutor { reactor.asUnownedSerialExecutor() }

    /// - Parameters:
    ///   - queue: the source's events; its `onPush` signals `wakeUp`.
    ///   - status: what is published once a second.
    init(
        on reactor: Reactor, in context: Context, access: SocketGuard, ring: FrameRing, queue: TileQueue,
        wakeUp: WakeUp, pins: TilePins,
        table: RunTable, results: ResultDesk, session: [UInt8], configuration: ServerConfiguration,
        status: @escaping @Sendable () -> WireStatus
    ) throws(ZMQError) {
        self.reactor = reactor
        self.ring = ring
        self.queue = queue
        self.wakeUp = wakeUp
        self.pins = pins
        self.table = table
        self.results = results
        self.session = session
        self.status = status
        source = configuration.sourceName
        tileTopic = Topic.tile(source: configuration.sourceName).text
        sendsChecksums = configuration.sendsChecksums
        updateInterval = .seconds(1 / max(0.1, configuration.updatesPerSecond))
        updates = UpdatePlan(source: configuration.sourceName)
        socket = try PublisherSocket(on: reactor, in: context, access: access)
    }

    /// Binds and begins to publish. Returns the endpoint with its port.
    func start(at endpoint: String) throws(ZMQError) -> String {
        pace = PacedQueue(
            on: reactor, longestBacklog: Self.longestBacklog,
            hasRoom: { [socket, pins] in socket.hasRoom(behind: pins.tiles) }, send: { [self] in take($0) })
        reactor.watch(descriptor: wakeUp.descriptor) { [self] _ in drain() }
        reactor.schedule(every: updateInterval) { [self] in publishUpdates() }
        reactor.schedule(every: .seconds(1)) { [self] in publish(.status(status()), to: .event(source: source)) }
        return try socket.open(at: endpoint) { [self] in noteSubscriptions() }
    }

    // MARK: Subscribers

    private func noteSubscriptions() {
        wantsTiles = socket.subscriptions.wants(tileTopic)
        counters.subscriptions.store(socket.subscriptions.count, ordering: .relaxed)
        counters.refusedSubscriptions.store(socket.subscriptions.refused, ordering: .relaxed)
    }

    /// Publishes what is left in the queue, and closes.
    func stop() async {
        pace?.sendAll()
        while let event = queue.pop() { take(event) }
        // What is being sent now may be older than the final state.
        await updatesSent()
        publishUpdates()
        await updatesSent()
        pace = nil
        socket.close()
    }

    private func updatesSent() async {
        guard isUpdating || updates.isBusy else { return }
        await withCheckedContinuation { whenUpdated = $0 }
    }

    /// Publishes something that an operator wants to know. Any thread; events of one thread keep their order.
    nonisolated func submit(_ event: WireEvent) {
        reactor.submit { [self] in assumeIsolated { $0.publish(.event(event), to: .event(source: $0.source)) } }
    }

    // MARK: Acquisitions

    private func drain() {
        wakeUp.drain()
        for _ in 0..<Self.eventsAtOnce {
            guard let event = queue.pop() else {
                if pace?.isEmpty == true { publishUpdatesIfUrgent() }
                return
            }
            if case .tile(let tile) = event {
                pace?.add(event, .bytes(tile.bytes.count))
            } else {
                pace?.add(event, .landmark)
            }
        }
        wakeUp.signal()
    }

    private func take(_ event: AcquisitionEvent) {
        switch event {
        case .started(let description):
            // Known from here on, however far behind the lanes are.
            present = (table.begin(description), WireFrameFormat(description.format))
            tilesInAcquisition = (0, 0)
            publish(.start(WireStart(description)), to: .acquisition(source: source))
        case .tile(let tile):
            publish(tile)
        case .ended(let summary):
            table.ended(summary)
            publish(.end(end(summary)), to: .acquisition(source: source))
            present = nil
        }
    }

    private func end(_ summary: AcquisitionSummary) -> WireEnd {
        var end = WireEnd(summary, record: present?.record)
        if present != nil { (end.tilesPublished, end.tilesDropped) = tilesInAcquisition }
        return end
    }

    /// Sends a tile, whose hold this takes over.
    private func publish(_ tile: Tile) {
        guard let present else { return ring.release(tile) }
        present.record.noteReceived(tile.positions)
        guard wantsTiles else { return ring.release(tile) }
        let topic = tileTopic
        guard pins.take(tile) else {
            // The number is used up, so that subscribers see the jump.
            _ = sequences.next(for: topic)
            tilesInAcquisition.dropped += 1
            counters.tilesDropped.wrappingAdd(1, ordering: .relaxed)
            return ring.release(tile)
        }
        let pinned = PinnedTile(tile, in: ring, countedIn: pins)
        var header = WireTile(tile, of: present.record.description, format: present.format)
        if sendsChecksums { header.checksum = Checksum.xxh3(tile.bytes) }
        send(.tile(header), topic: topic) { $0.append(Message(tile.bytes, owner: pinned)) }
        tilesInAcquisition.published += 1
        counters.tilesPublished.wrappingAdd(1, ordering: .relaxed)
    }

    // MARK: Results

    private func publishUpdatesIfUrgent() {
        // Not `contains`: each record is to be looked at.
        if table.acquisitions.filter({ updates.isUrgent($0) }).isEmpty { return }
        publishUpdates()
    }

    /// Has results computed that somebody wants, and sends what has changed since the last time.
    private func publishUpdates() {
        for due in updates.due(in: table.acquisitions, wants: { [socket] in socket.subscriptions.wants($0) }) {
            results.compute(due.run) { [self] in
                reactor.submit { [self] in assumeIsolated { $0.publishUpdates(of: due) } }
            }
        }
    }

    private func publishUpdates(of due: UpdatePlan.Due) {
        updates.collect(due) { [socket] in socket.subscriptions.wants($0) }
        guard !isUpdating else { return }
        isUpdating = true
        sendNextUpdates()
    }

    /// A few channels at once.
    private func sendNextUpdates() {
        for _ in 0..<Self.updatesAtOnce {
            guard let next = updates.takeNext() else {
                isUpdating = false
                if !updates.isBusy { whenUpdated.take()?.resume() }
                return
            }
            let (header, mask) = next.wireUpdate(withChecksums: sendsChecksums)
            send(.update(header), topic: next.topic) {
                $0.append(next.channel.array.message())
                $0.append(copying: mask)
            }
            counters.updatesPublished.wrappingAdd(1, ordering: .relaxed)
            counters.updatedAt.store(WallClock.nanoseconds(), ordering: .relaxed)
        }
        reactor.schedule(after: .milliseconds(2)) { [self] in sendNextUpdates() }
    }

    // MARK: Sending

    private func publish(_ kind: WireLiveHeader.OneOf_Kind, to topic: Topic) {
        send(kind, topic: topic.text) { _ in }
    }

    private func send(_ kind: WireLiveHeader.OneOf_Kind, topic: String, payload: (inout Multipart) -> Void) {
        let sequence = sequences.next(for: topic)
        var header = WireLiveHeader()
        header.session = .init(session)
        header.sequence = sequence
        header.sentAt = WallClock.nanoseconds()
        header.kind = kind
        guard let bytes: [UInt8] = try? header.serializedBytes() else { return }
        var message = Multipart()
        message.append(copying: topic)
        message.append(copying: bytes)
        payload(&message)
        socket.send(&message)
    }
}
