import StemwireAcquisition
import StemwireProtocol
import StemwireUDF
import ZeroMQ

/// A worker process at the work socket: who it is, and what is to be sent to it, in order. Reactor's thread only.
final class RemoteWorker {
    /// Stacks of frames that one message tells the places of.
    private static let stretchesInMessage = 4096

    private enum Outgoing {
        case message(WireWorkMessage.OneOf_Kind, payload: [ResultArray])
        /// Frames, whose hold is the outbox's.
        case frames(Tile, WorkItem, UInt32, DispatchedPlan)
    }

    let id: WorkerID
    let uuidBytes: [UInt8]
    let routingID: ReceivedPart
    /// For people, such as `node7/2114`.
    let name: String
    let host: String
    let threads: Int
    /// The UDFs that it has.
    let offers: Set<UDFKey>
    /// Whether it takes more work, or is about to leave.
    var takesWork: Bool
    /// Whether no network lies between, which could change bytes.
    let isOnThisMachine: Bool
    /// Whether it has mapped the memory of the ring, so that it need only be told where frames lie.
    var readsMemory = false
    /// Plans that it was told.
    private(set) var plans: Set<UInt32> = []
    private let socket: WorkSocket
    /// By attempt.
    private var framesSent: [WorkItem: [UInt32: Int]] = [:]
    /// Frames that it reads in the ring, held until it is done with them.
    private var lent: [WorkItem: [UInt32: [PinnedTile]]] = [:]
    private var outbox: [Outgoing] = []
    private var first = 0

    /// - Parameter address: that the connection came from; nil for one by a path.
    init(_ hello: WireWorkHello, id: WorkerID, routingID: ReceivedPart, address: String?, socket: WorkSocket) {
        self.id = id
        self.routingID = routingID
        self.socket = socket
        uuidBytes = [UInt8](hello.clientID)
        host = String(hello.worker.host.prefix(64))
        name = hello.client.isEmpty ? "\(host)/\(hello.worker.process)" : String(hello.client.prefix(64))
        threads = Int(min(hello.worker.threads, 4096))
        isOnThisMachine = address.map { $0.isEmpty || $0.hasPrefix("127.") || $0 == "::1" } ?? true
        takesWork = hello.credit.items > 0
        // A UDF without a name is what only this server's threads have.
        offers = Set(
            hello.worker.udfs.filter { Topic.isValidSegment($0.name) }
                .map { UDFKey(name: $0.name, contentHash: UInt64($0.version)) })
    }

    deinit {
        for case .frames(let tile, _, _, _) in outbox[first...] { tile.release() }
    }

    /// Whether messages wait to be sent.
    var isBehind: Bool { first < outbox.count }

    /// Queues the plan's description, once.
    func tell(_ plan: DispatchedPlan) { tell(plan.number) { plan.message } }

    /// Queues the description of a plan of this number, once.
    func tell(_ number: UInt32, _ message: () -> PlanMessage) {
        guard plans.insert(number).inserted else { return }
        let (wire, payload) = message().wire()
        queue(.plan(wire), payload: payload)
    }

    func forget(_ plan: UInt32) {
        guard plans.remove(plan) != nil else { return }
        lent = lent.filter { $0.key.run != plan }
        var over = WirePlanOver()
        over.plan = plan
        queue(.planOver(over))
    }

    func queue(_ kind: WireWorkMessage.OneOf_Kind, payload: [ResultArray] = []) {
        outbox.append(.message(kind, payload: payload))
    }

    /// Queues frames, whose hold this takes over.
    func queue(_ tile: Tile, of item: WorkItem, _ attempt: UInt32, _ plan: DispatchedPlan) {
        framesSent[item, default: [:]][attempt, default: 0] += tile.count
        outbox.append(.frames(tile, item, attempt, plan))
    }

    /// Frames of an item that were sent, or are about to be.
    func framesSent(of item: WorkItem, _ attempt: UInt32) -> Int { framesSent[item]?[attempt] ?? 0 }

    func forget(_ item: WorkItem) {
        framesSent[item] = nil
        lent[item] = nil
    }

    /// Lets go of the frames that the worker read where they lie: it has no more use for them.
    func ended(_ item: WorkItem, _ attempt: UInt32) { lent[item]?[attempt] = nil }

    /// The same for all; a worker that does not know it yet finds out before it uses what it reads.
    func endAll() { lent.removeAll() }

    /// Sends what its queue takes. `gone` when there is no such peer any more, `full` when something is left.
    func flush() -> WorkSocket.Outcome {
        while first < outbox.count {
            let (outcome, count) = sendNext()
            guard outcome == .sent else { return outcome }
            first += count
            if first >= 64, first * 2 >= outbox.count {
                outbox.removeFirst(first)
                first = 0
            }
        }
        outbox.removeAll(keepingCapacity: true)
        first = 0
        return .sent
    }

    /// Sends the first that waits, or the first few.
    private func sendNext() -> (WorkSocket.Outcome, count: Int) {
        switch outbox[first] {
        case .message(let kind, let payload):
            let outcome = socket.send(kind, to: routingID) { parts in
                for array in payload { parts.append(array.message()) }
            }
            return (outcome, 1)
        case .frames(let tile, let item, let attempt, let plan):
            if let lent = lend(item, attempt, plan) { return lent }
            return (send(tile, of: WireWorkItem(item, attempt), plan), 1)
        }
    }

    private func send(_ tile: Tile, of item: WireWorkItem, _ plan: DispatchedPlan) -> WorkSocket.Outcome {
        guard socket.pins.take(tile) else { return .full }
        // One hold for the socket; the outbox lets go of its own when the tile has left.
        tile.retain()
        let header = WireTile(tile, of: plan.description, format: plan.format)
        let outcome = socket.send(
            tile, to: routingID, isChecked: !isOnThisMachine,
            kind: { header in
                var work = WireWorkTile()
                (work.item, work.tile) = (item, header)
                return .work(work)
            }, header: header)
        if outcome == .sent { tile.release() }
        return outcome
    }

    /// Tells where the next frames of an item lie, as many as there are; nil when they are to be sent, as those are that
    /// have been given to somebody before: whatever was wrong then, it was not that.
    private func lend(
        _ item: WorkItem, _ attempt: UInt32, _ plan: DispatchedPlan
    ) -> (WorkSocket.Outcome, count: Int)? {
        guard readsMemory, attempt == 1 else { return nil }
        var work = WireWorkTile()
        var holds: [PinnedTile] = []
        for outgoing in outbox[first...].prefix(Self.stretchesInMessage) {
            guard case .frames(let tile, item, attempt, _) = outgoing, let (place, hold) = socket.lend(tile) else {
                break
            }
            // The outbox lets go of its own hold when the message has left.
            tile.retain()
            if holds.isEmpty {
                work.item = WireWorkItem(item, attempt)
                work.tile = WireTile(tile, of: plan.description, format: plan.format)
            } else {
                work.tile.count += UInt32(tile.count)
                work.tile.payloadBytes += UInt64(tile.bytes.count)
            }
            work.memory.append(WireFramesInMemory(tile, at: place))
            holds.append(hold)
        }
        guard !holds.isEmpty else { return nil }
        let outcome = socket.send(.work(work), to: routingID)
        guard outcome == .sent else { return (outcome, holds.count) }
        for hold in holds { hold.tile.release() }
        lent[item, default: [:]][attempt, default: []] += holds
        return (.sent, holds.count)
    }
}
