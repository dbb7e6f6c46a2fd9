import StemwireAcquisition
import StemwireProtocol
import StemwireUDF
import ZeroMQ

/// A worker process at the work socket: who it is, and what is to be sent to it, in order. Reactor's thread only.
final class RemoteWorker {
    private enum Outgoing {
        case message(WireWorkMessage.OneOf_Kind, payload: [ResultArray])
        /// Frames, whose hold is the outbox's.
        case frames(Tile, WireWorkItem, DispatchedPlan)
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
    /// Plans that it was told.
    private(set) var plans: Set<UInt32> = []
    private let socket: WorkSocket
    /// By attempt.
    private var framesSent: [WorkItem: [UInt32: Int]] = [:]
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
        for case .frames(let tile, _, _) in outbox[first...] { tile.release() }
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
        outbox.append(.frames(tile, WireWorkItem(item, attempt), plan))
    }

    /// Frames of an item that were sent, or are about to be.
    func framesSent(of item: WorkItem, _ attempt: UInt32) -> Int { framesSent[item]?[attempt] ?? 0 }

    func forget(_ item: WorkItem) { framesSent[item] = nil }

    /// Sends what its queue takes. `gone` when there is no such peer any more, `full` when something is left.
    func flush() -> WorkSocket.Outcome {
        while first < outbox.count {
            let outcome = send(outbox[first])
            guard outcome == .sent else { return outcome }
            first += 1
            if first >= 64, first * 2 >= outbox.count {
                outbox.removeFirst(first)
                first = 0
            }
        }
        outbox.removeAll(keepingCapacity: true)
        first = 0
        return .sent
    }

    private func send(_ outgoing: Outgoing) -> WorkSocket.Outcome {
        switch outgoing {
        case .message(let kind, let payload):
            return socket.send(kind, to: routingID) { parts in for array in payload { parts.append(array.message()) } }
        case .frames(let tile, let item, let plan):
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
    }
}
