import Testing

@testable import StemwireServer

@Suite("Dispatcher: results, failures and leases")
struct DispatchResultTests {
    private typealias Scene = DispatchScene
    private let item = Scene.item(0)
    private let one = Scene.worker(1)
    private let two = Scene.worker(2)

    // MARK: Results

    @Test("a result is merged, then acknowledged and its frames released")
    func result() {
        var scene = Scene()
        scene.join(1)
        scene.open(0)
        #expect(scene.tell(.result(item, attempt: 1, from: one)) == [.merge(item, attempt: 1, from: one)])
        #expect(scene.status?.counts.merging == 1)
        #expect(scene.tell(.merged(item)) == [.acknowledge(item, attempt: 1, to: one), .release(item)])
        #expect(scene.tell(.merged(item)).isEmpty)
        #expect(scene.status?.workers == [one.uuid: 1])
        #expect(scene.status(of: 1)?.done == 1)
    }

    @Test("the same result while it is being merged waits for its acknowledgement; after that it gets it at once")
    func repeated() {
        var scene = Scene()
        scene.join(1)
        scene.open(0)
        scene.tell(.result(item, attempt: 1, from: one))
        let during = scene.tell(.result(item, attempt: 1, from: one))
        #expect(during == [.ignore(item, attempt: 1, from: one, .duplicate)])
        scene.tell(.merged(item))
        let after = scene.tell(.result(item, attempt: 1, from: one))
        #expect(
            after == [.ignore(item, attempt: 1, from: one, .duplicate), .acknowledge(item, attempt: 1, to: one)])
    }

    @Test("a late result of a worker declared dead is taken, and the one that works on it now is told to stop")
    func resultOfTheDead() {
        var scene = Scene()
        scene.join(1)
        scene.open(0)
        scene.join(2)
        scene.pass(.seconds(4), heard: 2)
        let actions = scene.tell(.result(item, attempt: 1, from: one))
        #expect(
            actions == [.withdraw(item, from: two, attempt: 2), .merge(item, attempt: 1, from: one)])
        #expect(scene.tell(.merged(item)).first == .acknowledge(item, attempt: 1, to: one))
    }

    @Test("so is that of a worker declared dead while nobody has the item")
    func resultOfTheDeadAlone() {
        var scene = Scene()
        scene.join(1)
        scene.open(0)
        scene.pass(.seconds(4))
        #expect(scene.tell(.result(item, attempt: 1, from: one)) == [.merge(item, attempt: 1, from: one)])
        scene.tell(.merged(item))
        #expect(scene.join(2).assigned.isEmpty)
    }

    @Test("a result sent again after a reconnect is taken, and acknowledged under the new epoch")
    func resultOfNewEpoch() {
        var scene = Scene()
        scene.join(1)
        scene.open(0)
        scene.join(1, epoch: 2)
        let new = Scene.worker(1, epoch: 2)
        let actions = scene.tell(.result(item, attempt: 1, from: new))
        #expect(actions == [.withdraw(item, from: new, attempt: 2), .merge(item, attempt: 1, from: new)])
        scene.join(1, epoch: 3)
        #expect(
            scene.tell(.merged(item)).first == .acknowledge(item, attempt: 1, to: Scene.worker(1, epoch: 3)))
    }

    @Test("a result of an attempt that was never made, or is somebody else's, is refused")
    func impossible() {
        var scene = Scene()
        scene.join(1)
        scene.open(0)
        scene.join(2, items: 0)
        for (attempt, worker) in [(UInt32(0), one), (2, one), (1, two)] {
            let actions = scene.tell(.result(item, attempt: attempt, from: worker))
            #expect(actions.first == .ignore(item, attempt: attempt, from: worker, .unknownAttempt))
        }
        #expect(scene.status?.counts.assigned == 1)
    }

    @Test("once a local worker has had it, nobody else's result counts, since part of the local one is merged")
    func exclusive() {
        var scene = Scene()
        scene.join(1)
        scene.open(0)
        scene.join(2, isLocal: true)
        #expect(scene.tell(.left(one, .unreachable)).assigned == [[0, 2]])
        let actions = scene.tell(.result(item, attempt: 1, from: one))
        #expect(actions.first == .ignore(item, attempt: 1, from: one, .duplicate))
        #expect(scene.finish(0, 2, by: 2).released == [0])
    }

    @Test("a result before all frames were there is a failure")
    func early() {
        var scene = Scene()
        scene.join(1)
        scene.tell(.opened(item, bytes: 10))
        scene.tell(.result(item, attempt: 1, from: one))
        scene.join(2)
        #expect(scene.status?.counts.merged == 0 && scene.status?.redone == 1)
    }

    @Test("what is left of a dropped acquisition is withdrawn and released, and recognised when it comes")
    func dropped() {
        for event in [DispatchEvent.acquisitionDropped(generation: 1), .runEnded(Scene.run)] {
            var scene = Scene()
            let next = RunID(generation: 2, number: 0)
            scene.tell(.runBegan(next, needs: []))
            scene.join(1, items: 3)
            for partition in 0..<4 { scene.open(partition) }
            scene.tell(.result(Scene.item(1), attempt: 1, from: one))
            let actions = scene.tell(event)
            #expect(actions.withdrawn == [[0, 1], [2, 1]] || actions.withdrawn == [[0, 1], [2, 1], [3, 1]])
            #expect(actions.released.sorted() == [0, 1, 2, 3])
            #expect(actions.contains(.acknowledge(Scene.item(1), attempt: 1, to: one)))
            let late = scene.tell(.result(item, attempt: 1, from: one))
            #expect(late == [.ignore(item, attempt: 1, from: one, .stale), .acknowledge(item, attempt: 1, to: one)])
            #expect(scene.tell(.merged(Scene.item(1))).isEmpty)
            #expect(scene.tell(.opened(item, bytes: 1)) == [.release(item)])
            #expect(scene.dispatcher.counts.dropped == 4 && scene.dispatcher.counts.isBalanced)
            #expect(scene.status == nil && scene.dispatcher.status(of: next) != nil)
        }
    }

    // MARK: Failures

    @Test("a UDF that fails is tried on another worker, then the partition is given up")
    func failsTwice() {
        var scene = Scene()
        scene.join(1)
        scene.open(0)
        scene.join(2, items: 1)
        let first = scene.tell(.failed(item, attempt: 1, from: one, .udf("division by zero")))
        #expect(first == [.acknowledge(item, attempt: 1, to: one), .assign(item, to: two, attempt: 2)])
        let second = scene.tell(.failed(item, attempt: 2, from: two, .udf("overflow")))
        #expect(second.quarantined == [.failed("overflow")] && second.released == [0])
        #expect(scene.status(of: 1)?.failed == 1)
    }

    @Test("with one worker only, it is tried twice there")
    func failsAlone() {
        var scene = Scene()
        scene.join(1)
        scene.join(2, udfs: [])
        // One that takes no more items is no help.
        scene.join(3, items: 0)
        scene.open(0)
        #expect(scene.tell(.failed(item, attempt: 1, from: one, .udf("no"))).assigned == [[0, 1]])
        #expect(scene.tell(.failed(item, attempt: 2, from: one, .udf("no"))).quarantined == [.failed("no")])
    }

    @Test("a partition that failed waits for another worker as long as there is one, and others overtake it")
    func waitsForAnother() {
        var scene = Scene()
        scene.join(1, items: 1)
        scene.open(0)
        scene.join(2, items: 1)
        scene.open(1)
        #expect(scene.tell(.failed(item, attempt: 1, from: one, .udf("no"))).assigned.isEmpty)
        #expect(scene.open(2).assigned == [[2, 1]])
        #expect(scene.finish(1, by: 2).assigned == [[0, 2]])
    }

    @Test("a worker that cannot is no failure of the UDF, but there is a limit to attempts")
    func cannot() {
        var configuration = Dispatcher.Configuration()
        configuration.attemptLimit = 5
        var scene = Scene(configuration)
        scene.join(1)
        scene.open(0)
        var actions: [DispatchAction] = []
        for attempt in UInt32(1)...5 {
            #expect(actions.quarantined.isEmpty)
            actions = scene.tell(.failed(item, attempt: attempt, from: one, .worker("no memory")))
        }
        #expect(actions.quarantined == [.attempts(5)])
    }

    @Test("a local worker's failure is final, and so is its end")
    func failsLocally() {
        var scene = Scene()
        scene.join(1, isLocal: true)
        scene.open(0)
        scene.open(1)
        #expect(scene.tell(.failed(item, attempt: 1, from: one, .udf("no"))).quarantined == [.failedLocally("no")])
        #expect(scene.tell(.left(one, .goodbye)).quarantined.count == 1)
    }

    @Test("a result that cannot be merged is a failure of its worker")
    func mergeFails() {
        var scene = Scene()
        scene.join(1)
        scene.open(0)
        scene.join(2, items: 1)
        scene.tell(.result(item, attempt: 1, from: one))
        let actions = scene.tell(.mergeFailed(item, reason: "wrong size"))
        #expect(actions == [.acknowledge(item, attempt: 1, to: one), .assign(item, to: two, attempt: 2)])
        scene.tell(.result(item, attempt: 2, from: two))
        #expect(scene.tell(.mergeFailed(item, reason: "again")).quarantined == [.failed("again")])
    }

    @Test("a failure of a copy leaves the other one at work")
    func failsBesides() {
        var scene = Scene()
        scene.join(1)
        for partition in 1..<21 {
            scene.open(partition)
            scene.finish(partition, by: 1)
        }
        scene.open(0)
        scene.join(2)
        #expect(scene.pass(.seconds(1), heard: 1, 2).assigned == [[0, 2]])
        let actions = scene.tell(.failed(item, attempt: 1, from: one, .udf("no")))
        #expect(actions == [.acknowledge(item, attempt: 1, to: one)])
        #expect(scene.finish(0, 2, by: 2).released == [0])
    }

    // MARK: Leases

    @Test("after the lease time the worker is asked; it may go on, or say that it misses frames")
    func asks() {
        var scene = Scene()
        scene.join(1)
        scene.open(0)
        for _ in 0..<5 {
            #expect(scene.pass(.seconds(10), heard: 1).asked == [1])
            #expect(scene.tell(.working(item, attempt: 1, from: one)).isEmpty)
        }
        #expect(scene.tell(.missing(item, attempt: 1, from: one)) == [.assign(item, to: one, attempt: 2)])
        #expect(scene.status?.redos.map(\.reason) == [.notReceived])
    }

    @Test("a worker that lives, but does not answer for an item, loses it, and its credit until it lets go")
    func unanswered() {
        var scene = Scene()
        scene.join(1, items: 1)
        scene.open(0)
        let actions = scene.pass(.seconds(41), heard: 1)
        #expect(actions.asked == [1, 1, 1] && actions.withdrawn == [[0, 1]] && actions.assigned.isEmpty)
        #expect(scene.status(of: 1)?.inFlight == 1)
        // The message may have been lost.
        #expect(scene.pass(.seconds(10), heard: 1).withdrawn == [[0, 1]])
        #expect(scene.tell(.withdrew(item, attempt: 1, from: one)).assigned == [[0, 1]])
        #expect(scene.status?.redos.map(\.reason) == [.unanswered])
    }

    @Test("a late result is an answer to a withdrawal too")
    func lateAnswer() {
        var scene = Scene()
        scene.join(1, items: 1)
        scene.open(0)
        scene.pass(.seconds(41), heard: 1)
        let actions = scene.tell(.result(item, attempt: 1, from: one))
        #expect(actions == [.merge(item, attempt: 1, from: one)])
        #expect(scene.status(of: 1)?.inFlight == 0)
    }

    @Test("a worker that works on what it should not have is told so")
    func unknownWork() {
        var scene = Scene()
        scene.join(1)
        #expect(
            scene.tell(.working(item, attempt: 3, from: one)) == [.withdraw(item, from: one, attempt: 3)])
        #expect(scene.tell(.working(item, attempt: 3, from: two)).isEmpty)
        #expect(scene.tell(.withdrew(item, attempt: 3, from: one)).isEmpty)
    }

    // MARK: Memory

    @Test("when memory is short, first the frames go that a worker has whole, then those that nobody has begun")
    func memoryShort() {
        var scene = Scene()
        scene.join(1, items: 2)
        for partition in 0..<4 { scene.open(partition) }
        #expect(scene.tell(.memoryShort(bytes: 150)) == [.release(Scene.item(0)), .release(Scene.item(1))])
        let more = scene.tell(.memoryShort(bytes: 100))
        #expect(more == [.quarantine(Scene.item(2), .memoryShort), .release(Scene.item(2))])
        scene.finish(0, by: 1)
        let lost = scene.tell(.left(one, .goodbye))
        #expect(lost.quarantined == [.framesReleased] && lost.released.isEmpty)
        #expect(scene.tell(.memoryShort(bytes: 1000)).released == [3])
        #expect(scene.dispatcher.counts == Dispatcher.Counts(opened: 4, merged: 1, quarantined: 3))
    }

    @Test("an item that the server gives up is withdrawn")
    func abandoned() {
        var scene = Scene()
        scene.join(1)
        scene.open(0)
        #expect(
            scene.tell(.abandoned(item, reason: "the disk is full")) == [
                .withdraw(item, from: one, attempt: 1), .quarantine(item, .abandoned("the disk is full")),
                .release(item),
            ])
    }
}

extension [DispatchAction] {
    /// The numbers of the workers that are asked.
    var asked: [Int] { compactMap { if case .ask(_, let worker, _) = $0 { Int(worker.uuid.low) } else { nil } } }
}
