import StemwireProtocol

@testable import StemwireWorker

// The server: gives partitions out, takes results, forgets and restarts.

extension WorkerWorld {
    func origin(_ plan: UInt32) -> String { "session \(serverSession) plan \(plan)" }

    mutating func beginPlan() {
        guard plans.count < 4 else { return }
        lastPlan += 1
        plans[lastPlan] = Array(repeating: Partition(), count: 4)
    }

    mutating func end(plan number: UInt32) {
        plans[number] = nil
        overPlans.insert(number)
        for key in peers.keys.sorted() where peers[key]?.knows.remove(number) != nil {
            for id in peers[key]?.held.keys.filter({ $0.plan == number }) ?? [] {
                peers[key]?.held[id]?.isWithdrawn = true
                send(key) { $0.withdraw.item = id.wire }
            }
            send(key) { $0.planOver.plan = number }
        }
    }

    mutating func withdraw() {
        guard let key = peers.keys.sorted().randomElement(using: &random),
            let id = peers[key]?.held.keys.sorted(by: { "\($0)" < "\($1)" }).randomElement(using: &random)
        else { return }
        release(id, from: key)
        peers[key]?.held[id]?.isWithdrawn = true
        send(key) { $0.withdraw.item = id.wire }
    }

    mutating func ask() {
        guard let key = peers.keys.sorted().randomElement(using: &random),
            let (id, holding) = peers[key]?.held.sorted(by: { "\($0.key)" < "\($1.key)" })
                .randomElement(using: &random), !holding.isWithdrawn
        else { return }
        send(key) {
            $0.ask.item = id.wire
            $0.ask.frames = UInt64(holding.sent)
            $0.ask.closed = holding.isClosed
        }
    }

    mutating func send(_ key: Int, payload: Int = 0, _ fill: (inout WireWorkMessage) -> Void) {
        guard connections[key]?.isOpen == true else { return }
        var message = WireWorkMessage()
        fill(&message)
        connections[key]?.toWorker.append((message, payload))
    }

    mutating func free(_ id: WorkItemID, _ key: Int) {
        guard let holding = peers[key]?.held.removeValue(forKey: id) else { return }
        peers[key]?.items += 1
        peers[key]?.bytes += holding.bytes
    }

    mutating func release(_ id: WorkItemID, from key: Int) {
        guard plans[id.plan]?[Int(id.partition)].holder == key,
            plans[id.plan]?[Int(id.partition)].attempt == id.attempt
        else { return }
        plans[id.plan]?[Int(id.partition)].holder = nil
    }

    mutating func forget(_ key: Int) {
        guard let peer = peers.removeValue(forKey: key) else { return }
        for id in peer.held.keys { release(id, from: key) }
    }

    mutating func serve() {
        guard isServerUp, let key = peers.keys.sorted().randomElement(using: &random), let peer = peers[key] else {
            return
        }
        // Goes on with an item that is not complete, or begins another.
        if random.chance(0.7),
            let (id, holding) = peer.held.filter({ !$0.value.isClosed && !$0.value.isWithdrawn }).sorted(by: {
                "\($0.key)" < "\($1.key)"
            }).first
        {
            return feed(id, holding, key)
        }
        for number in plans.keys.sorted() {
            guard let partition = plans[number]?.firstIndex(where: { !$0.isMerged && $0.holder == nil }),
                peer.items > 0, peer.bytes >= 300
            else { continue }
            if peers[key]?.knows.insert(number).inserted == true {
                let origin = Array(origin(number).utf8)
                send(key) {
                    $0.plan.plan = number
                    $0.plan.start.acquisition = .init(origin)
                }
            }
            let attempt = (plans[number]?[partition].attempt ?? 0) + 1
            plans[number]?[partition].attempt = attempt
            plans[number]?[partition].holder = key
            var wire = WireWorkItem()
            (wire.plan, wire.partition, wire.attempt) = (number, UInt32(partition), attempt)
            peers[key]?.items -= 1
            peers[key]?.held[WorkItemID(wire)] = Holding()
            return
        }
    }

    mutating func feed(_ id: WorkItemID, _ holding: Holding, _ key: Int) {
        let tiles = Self.tiles[Int(id.partition)]
        guard holding.sent < tiles.count else {
            peers[key]?.held[id]?.isClosed = true
            return send(key) {
                $0.closed.item = id.wire
                $0.closed.frames = UInt64(tiles.count)
            }
        }
        let size = tiles[holding.sent]
        guard (peers[key]?.bytes ?? 0) >= size else { return }
        peers[key]?.held[id]?.sent += 1
        peers[key]?.held[id]?.bytes += size
        peers[key]?.bytes -= size
        let origin = Array(origin(id.plan).utf8)
        send(key, payload: size) {
            $0.work.item = id.wire
            $0.work.tile.acquisition = .init(origin)
            $0.work.tile.partition = id.partition
            $0.work.tile.firstPosition = UInt64(holding.sent)
            $0.work.tile.count = 1
        }
    }

    mutating func deliverToServer() {
        guard isServerUp,
            let key = connections.filter({ !$0.value.toServer.isEmpty }).keys.sorted().randomElement(using: &random),
            let (message, output) = connections[key]?.toServer.removeFirst()
        else { return }
        if case .hello(let hello) = message.kind { return greet(hello, key) }
        guard peers[key] != nil else { return send(key) { $0.failure.code = "wrongState" } }
        peers[key]?.lastHeard = now
        switch message.kind {
        case .credit(let credit):
            let held = peers[key]?.held.values.reduce(0) { $0 + $1.bytes } ?? 0
            let count = peers[key]?.held.count ?? 0
            peers[key]?.items = Int(credit.items) - count
            peers[key]?.bytes = Int(credit.bytes) - held
        case .withdrew(let withdrew):
            free(WorkItemID(withdrew.item), key)
        case .holding(let holding):
            let id = WorkItemID(holding.item)
            if peers[key]?.held[id] != nil, !holding.isWhole { faults.append("\(id) is said not to be whole") }
        case .result(let result):
            let id = WorkItemID(result.item)
            free(id, key)
            merge(id, output ?? "", key)
            send(key) { $0.ack.item = result.item }
        case .failed(let failed):
            let id = WorkItemID(failed.item)
            free(id, key)
            release(id, from: key)
            send(key) { $0.ack.item = failed.item }
        default: break
        }
    }

    mutating func greet(_ hello: WireWorkHello, _ key: Int) {
        guard let worker = connections[key]?.worker else { return }
        // What an older connection of the same process still brings counts for nothing.
        if peers.values.contains(where: { $0.worker == worker && $0.epoch >= hello.epoch }) { return }
        for (old, peer) in peers where peer.worker == worker { forget(old) }
        peers[key] = Peer(
            worker: worker, epoch: hello.epoch, items: Int(hello.credit.items), bytes: Int(hello.credit.bytes),
            lastHeard: now)
        let session = serverSession
        send(key) {
            $0.welcome.session = .init(repeating: session, count: 16)
            $0.welcome.beatIntervalMs = 100
            $0.welcome.silenceLimitMs = UInt32(Self.silence / .milliseconds(1))
        }
    }

    /// The first result counts.
    mutating func merge(_ id: WorkItemID, _ content: String, _ key: Int) {
        guard plans[id.plan] != nil else {
            if !overPlans.contains(id.plan) { faults.append("a result of \(id), which there never was") }
            return
        }
        let right =
            "\(origin(id.plan)) \(id.partition) \(Array(0..<Self.tiles[Int(id.partition)].count).map(UInt64.init))"
        let isRight = content == right || Self.tiles[Int(id.partition)].isEmpty && content == " \(id.partition) []"
        if !isRight { faults.append("\(id): \"\(content)\" instead of \"\(right)\"") }
        plans[id.plan]?[Int(id.partition)].isMerged = true
    }
}
