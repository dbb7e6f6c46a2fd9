import StemwireProtocol
import StemwireTestSupport

@testable import StemwireWorker

/// A server with a few plans, workers with their sessions, and connections that break.
struct WorkerWorld {
    static let capacity = WorkerCapacity(items: 3, bytes: 1000)
    static let silence = Duration.milliseconds(600)

    struct Computation {
        let id: WorkItemID
        var frames: [UInt64] = []
        var origin = ""
        var isClosed = false
    }

    struct SimulatedWorker {
        var session: WorkerSession<String>
        var computations: [Serial: Computation] = [:]
        var preparing: [Serial: UInt32] = [:]
        var merging: Set<Serial> = []
        /// The connection that it has now.
        var connection: Int?
        var isFrozen = false
    }

    struct Connection {
        let worker: Int
        var toServer: [(WireWorkMessage, String?)] = []
        var toWorker: [(WireWorkMessage, Int)] = []
        /// Whether the worker's end still stands; what it sent may arrive all the same.
        var isOpen = true
        var isConnected = false
    }

    struct Peer {
        let worker: Int
        let epoch: UInt64
        var items: Int
        var bytes: Int
        var knows: Set<UInt32> = []
        var held: [WorkItemID: Holding] = [:]
        var lastHeard: ContinuousClock.Instant
    }

    struct Holding {
        var sent = 0
        var bytes = 0
        var isClosed = false
        var isWithdrawn = false
    }

    struct Partition {
        var attempt: UInt32 = 0
        var isMerged = false
        /// The connection it is given to.
        var holder: Int?
    }

    var random: SeededGenerator
    var now: ContinuousClock.Instant = .now
    var workers: [SimulatedWorker] = []
    var connections: [Int: Connection] = [:]
    var lastConnection = 0
    var serverSession: UInt8 = 1
    var isServerUp = true
    var peers: [Int: Peer] = [:]
    var plans: [UInt32: [Partition]] = [:]
    var overPlans: Set<UInt32> = []
    var lastPlan: UInt32 = 0
    var hasFaults = true
    var faults: [String] = []

    /// Sizes of the tiles of each partition, 3 positions in all.
    static let tiles: [[Int]] = [[300], [100, 200], [100, 100, 100], []]

    init(seed: UInt64) {
        random = SeededGenerator(seed: seed)
        for number in 0..<2 {
            let settings = WorkerSession<String>.Settings(
                clientID: [UInt8](repeating: UInt8(number), count: 16), capacity: Self.capacity)
            workers.append(SimulatedWorker(session: WorkerSession(settings, now: now)))
            workers[number].session.start(now: now)
            perform(number)
        }
        beginPlan()
        beginPlan()
    }

    // MARK: Time

    mutating func run(steps: Int) {
        for _ in 0..<steps where faults.isEmpty { step() }
    }

    /// No more faults; everything comes to its end.
    mutating func settle() {
        hasFaults = false
        isServerUp = true
        for number in workers.indices { workers[number].isFrozen = false }
        var rounds = 0
        while faults.isEmpty, plans.values.contains(where: { $0.contains { !$0.isMerged } }) {
            rounds += 1
            guard rounds < 20_000 else { return faults.append("not done after \(rounds) rounds") }
            step()
        }
        for plan in plans.keys { end(plan: plan) }
        for _ in 0..<2000 where faults.isEmpty { step() }
        for (number, worker) in workers.enumerated() {
            let session = worker.session
            if !session.items.isEmpty { faults.append("worker \(number) still has \(session.items)") }
            if !session.answers.isEmpty { faults.append("worker \(number) keeps \(session.answers.keys)") }
            if !session.plans.isEmpty { faults.append("worker \(number) keeps plans \(session.plans.keys)") }
            if !worker.computations.isEmpty { faults.append("worker \(number) computes \(worker.computations)") }
            if !session.isReady { faults.append("worker \(number) is \(session.phase)") }
        }
        for peer in peers.values where peer.items != Self.capacity.items || peer.bytes != Self.capacity.bytes {
            faults.append("worker \(peer.worker) has \(peer.items) items, \(peer.bytes) bytes of credit at the end")
        }
        if peers.count != workers.count { faults.append("\(peers.count) peers") }
    }

    mutating func step() {
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<35: deliverToWorker()
        case 35..<55: deliverToServer()
        case 55..<72: serve()
        case 72..<84: compute()
        case 84..<94: advance(.milliseconds(Int.random(in: 1...60, using: &random)))
        case 94..<97: connect()
        default: if hasFaults { fault() } else { connect() }
        }
        check()
    }

    mutating func advance(_ duration: Duration) {
        now += duration
        for number in workers.indices where !workers[number].isFrozen {
            workers[number].session.tick(now: now)
            perform(number)
        }
        for (key, peer) in peers where now - peer.lastHeard > Self.silence { forget(key) }
        guard isServerUp else { return }
        for key in peers.keys where random.chance(0.5) { send(key) { $0.beat = WireBeat() } }
    }

    mutating func fault() {
        let number = Int.random(in: workers.indices, using: &random)
        switch Int.random(in: 0..<8, using: &random) {
        case 0...1: breakConnection(of: number)
        case 2: workers[number].isFrozen.toggle()
        case 3:
            // The server loses its memory of a peer.
            if let key = peers.keys.sorted().randomElement(using: &random) { forget(key) }
        case 4: restartServer()
        case 5: Bool.random(using: &random) ? withdraw() : ask()
        case 6: beginPlan()
        default:
            if let plan = plans.keys.sorted().randomElement(using: &random), plans.count > 1 { end(plan: plan) }
        }
    }

    // MARK: Connections

    mutating func connect() {
        guard isServerUp else {
            if random.chance(0.3) { isServerUp = true }
            return
        }
        for number in workers.indices where !workers[number].isFrozen {
            guard let key = workers[number].connection, connections[key]?.isConnected == false else { continue }
            connections[key]?.isConnected = true
            workers[number].session.connected(now: now)
            perform(number)
        }
    }

    mutating func breakConnection(of number: Int) {
        guard let key = workers[number].connection, connections[key]?.isConnected == true else { return }
        close(key)
        workers[number].connection = nil
        workers[number].session.disconnected(now: now)
        perform(number)
    }

    /// The worker's end is gone; what is on its way to the server may arrive, or not.
    mutating func close(_ key: Int) {
        connections[key]?.isOpen = false
        connections[key]?.toWorker.removeAll()
        if random.chance(0.5) { connections[key]?.toServer.removeAll() }
    }

    mutating func restartServer() {
        serverSession &+= 1
        isServerUp = false
        peers.removeAll()
        connections = connections.mapValues { connection in
            var connection = connection
            connection.toServer.removeAll()
            return connection
        }
        let count = plans.count
        plans.removeAll()
        overPlans.removeAll()
        lastPlan = 0
        for _ in 0..<max(1, count) { beginPlan() }
        for number in workers.indices { breakConnection(of: number) }
    }

    // MARK: The workers

    mutating func perform(_ number: Int, payload: Int? = nil) {
        for action in workers[number].session.takeActions() {
            switch action {
            case .connect:
                if let old = workers[number].connection { close(old) }
                lastConnection += 1
                connections[lastConnection] = Connection(worker: number)
                workers[number].connection = lastConnection
            case .send(let message, let output):
                guard let key = workers[number].connection, connections[key]?.isConnected == true else {
                    faults.append("worker \(number) sends without a connection")
                    return
                }
                connections[key]?.toServer.append((message, output))
            case .prepare(let plan, let wire): workers[number].preparing[plan] = wire.plan
            case .forget(let plan): workers[number].preparing[plan] = nil
            case .begin(let item, let id, _): workers[number].computations[item] = Computation(id: id)
            case .take(let item, let tile):
                workers[number].computations[item]?.frames.append(tile.firstPosition)
                workers[number].computations[item]?.origin = String(decoding: tile.acquisition, as: UTF8.self)
            case .close(let item): workers[number].computations[item]?.isClosed = true
            case .drop(let item):
                // A thread may be at it, and report all the same.
                if random.chance(0.5) { workers[number].computations[item] = nil }
            case .merge(let task, _, _): workers[number].merging.insert(task)
            case .tell: break
            case .end(let ending): faults.append("worker \(number) ended: \(ending)")
            }
        }
    }

    mutating func compute() {
        let number = Int.random(in: workers.indices, using: &random)
        guard !workers[number].isFrozen else { return }
        if let (plan, wire) = workers[number].preparing.min(by: { $0.key < $1.key }) {
            workers[number].preparing[plan] = nil
            workers[number].session.planned(plan, .with { $0.plan = wire })
        } else if hasFaults, random.chance(0.03),
            let serial = workers[number].computations.keys.sorted().randomElement(using: &random)
        {
            // Frames may still be on their way to it.
            workers[number].computations[serial] = nil
            workers[number].session.failed(serial, udf: "u", "unlucky", isUDF: true)
        } else if let (serial, work) = workers[number].computations.filter({ $0.value.isClosed }).min(by: {
            $0.key < $1.key
        }) {
            workers[number].computations[serial] = nil
            if hasFaults && random.chance(0.1) {
                workers[number].session.failed(serial, udf: "", "unlucky", isUDF: false)
            } else {
                let content = "\(work.origin) \(work.id.partition) \(work.frames.sorted())"
                workers[number].session.finished(serial, WireWorkResult(), content)
            }
        } else if let orphan = workers[number].computations.keys.first(where: {
            workers[number].session.itemIDs[$0] == nil
        }) {
            workers[number].computations[orphan] = nil
            workers[number].session.failed(orphan, udf: "", "dropped", isUDF: false)
        }
        perform(number)
    }

    mutating func deliverToWorker() {
        let number = Int.random(in: workers.indices, using: &random)
        guard !workers[number].isFrozen, let key = workers[number].connection,
            let (message, payload) = connections[key]?.toWorker.first
        else { return }
        connections[key]?.toWorker.removeFirst()
        let payloads = payload > 0 ? [payload] : []
        workers[number].session.received(message, payloads: payloads, now: now)
        perform(number)
        // The same once more, of what may come twice.
        let isRepeatable: Bool =
            switch message.kind {
            case .plan, .closed, .ack, .withdraw, .planOver: true
            default: false
            }
        if isRepeatable, hasFaults, random.chance(0.1) {
            workers[number].session.received(message, payloads: payloads, now: now)
            perform(number)
        }
    }

    // MARK: What always holds

    mutating func check() {
        for (key, peer) in peers {
            if peer.items < 0 || peer.bytes < 0 { faults.append("peer \(key): \(peer.items), \(peer.bytes)") }
            if peer.items > Self.capacity.items || peer.bytes > Self.capacity.bytes {
                faults.append("peer \(key) has more credit than there is: \(peer.items), \(peer.bytes)")
            }
        }
        for (number, worker) in workers.enumerated() {
            if worker.session.items.count > Self.capacity.items || worker.session.heldBytes > Self.capacity.bytes {
                faults.append("worker \(number) holds \(worker.session.items.count), \(worker.session.heldBytes)")
            }
            if worker.session.items.count != worker.session.itemIDs.count { faults.append("items and serials differ") }
        }
    }
}
