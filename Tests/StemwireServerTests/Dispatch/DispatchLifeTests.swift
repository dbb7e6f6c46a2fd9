import Testing

@testable import StemwireServer

@Suite("Dispatcher: workers come and go")
struct DispatchLifeTests {
    private typealias Scene = DispatchScene

    @Test("every worker gets a beat a second, local ones none")
    func beats() {
        var scene = Scene()
        scene.join(1)
        scene.join(2, isLocal: true)
        let actions = scene.pass(.seconds(5), heard: 1)
        #expect(actions.count { $0 == .sendBeat(Scene.worker(1)) } == 5)
        #expect(actions.count { $0 == .sendBeat(Scene.worker(2)) } == 0)
    }

    @Test("a worker that is silent for 3 s is dead, and its items run elsewhere at once; a local one never dies")
    func silence() {
        var scene = Scene()
        scene.join(1, items: 2)
        scene.join(3, items: 1, isLocal: true)
        scene.open(0)
        scene.open(1)
        scene.open(2)
        scene.join(2)
        #expect(scene.pass(.milliseconds(2900), heard: 2).dead.isEmpty)
        let actions = scene.pass(.milliseconds(100), heard: 2)
        #expect(actions.dead == [Scene.worker(1)])
        #expect(actions.assigned.map { $0[1] } == [2, 2])
        #expect(scene.status?.redos.allSatisfy { $0.reason == .workerDied(.silent) } == true)
        #expect(scene.pass(.seconds(30), heard: 2).dead.isEmpty)
        #expect(scene.status(of: 3)?.silence == nil)
    }

    @Test(
        "however short the intervals, beats come in time, and who is silent is found dead",
        arguments: [(20, 40), (100, 300), (250, 500), (1000, 3000)])
    func shortIntervals(beat: Int, limit: Int) {
        var configuration = Dispatcher.Configuration()
        (configuration.beatInterval, configuration.deadAfter) = (.milliseconds(beat), .milliseconds(limit))
        // A turn that is late by as much again is no pause.
        #expect(configuration.tickInterval * 2 <= configuration.longestPause)
        var scene = Scene(configuration)
        scene.join(1)
        scene.join(2)
        let actions = scene.pass(.milliseconds(limit * 2), every: configuration.tickInterval, heard: 1)
        #expect(actions.dead == [Scene.worker(2)])
        #expect(actions.count { $0 == .sendBeat(Scene.worker(1)) } >= 2 * limit / beat - 1)
    }

    @Test("everything that comes from a worker is a sign of life")
    func signs() {
        let worker = Scene.worker(1)
        let item = Scene.item(0)
        let events: [DispatchEvent] = [
            .heard(worker), .credit(worker, items: 1, bytes: 1), .result(item, attempt: 1, from: worker),
            .failed(item, attempt: 1, from: worker, .udf("")), .working(item, attempt: 1, from: worker),
            .missing(item, attempt: 1, from: worker), .withdrew(item, attempt: 1, from: worker),
        ]
        for event in events {
            var scene = Scene()
            scene.join(1)
            scene.pass(.seconds(2))
            scene.tell(event)
            #expect(scene.pass(.seconds(2)).dead.isEmpty, "\(event)")
            #expect(scene.pass(.seconds(1)).dead == [worker], "\(event)")
        }
    }

    @Test("when the server itself has stood still, nobody is dead for that")
    func pauseOfServer() {
        var scene = Scene()
        scene.join(1)
        scene.pass(.seconds(1), heard: 1)
        scene.sleep(.seconds(60))
        #expect(scene.tell(.tick).dead.isEmpty)
        #expect(scene.pass(.milliseconds(2900)).dead.isEmpty)
        #expect(scene.pass(.milliseconds(100)).dead.count == 1)
    }

    @Test("when the transport says that the connection is gone, its items go elsewhere at once")
    func unreachable() {
        var scene = Scene()
        scene.join(1)
        scene.open(0)
        scene.join(2, items: 1)
        let actions = scene.tell(.left(Scene.worker(1), .unreachable))
        #expect(
            actions == [
                .workerDead(Scene.worker(1), .unreachable), .assign(Scene.item(0), to: Scene.worker(2), attempt: 2),
            ])
    }

    @Test("a worker that says goodbye gives its items back; nobody is blamed")
    func goodbye() {
        var scene = Scene()
        for worker in 1...5 {
            scene.join(worker)
            if worker == 1 { scene.open(0) }
            let actions = scene.tell(.left(Scene.worker(worker), .goodbye))
            #expect(actions.isEmpty)
        }
        #expect(scene.join(6).assigned == [[0, 6]])
        #expect(scene.status?.redone == 5)
    }

    @Test("a new epoch loses what the old one held; an older one means nothing; the same one only a new offer")
    func epochs() {
        var scene = Scene()
        scene.join(1, epoch: 5)
        scene.open(0)
        let again = scene.join(1, epoch: 5, items: 1)
        #expect(again.isEmpty && scene.status(of: 1)?.inFlight == 1)
        #expect(scene.join(1, epoch: 4).isEmpty)
        let new = scene.join(1, epoch: 6)
        #expect(
            new == [
                .workerDead(Scene.worker(1, epoch: 5), .replaced),
                .assign(Scene.item(0), to: Scene.worker(1, epoch: 6), attempt: 2),
            ])
        #expect(scene.tell(.left(Scene.worker(1, epoch: 5), .unreachable)).isEmpty)
        #expect(scene.dispatcher.workers.count == 1)
        #expect(scene.dispatcher.isJoined(Scene.worker(1, epoch: 6)))
        #expect(!scene.dispatcher.isJoined(Scene.worker(1, epoch: 5)))
    }

    @Test("with all workers dead the scan goes on, and is finished when one comes back")
    func allDead() {
        var scene = Scene()
        for worker in 1...4 { scene.join(worker, items: 1) }
        for partition in 0..<4 { scene.open(partition) }
        #expect(scene.pass(.seconds(4)).dead.count == 4)
        for partition in 4..<6 { scene.open(partition) }
        #expect(scene.status?.counts.waiting == 6)
        // Of those over which a worker died, it gets one at a time.
        let got = scene.join(5, items: 6)
        #expect(got.assigned.count == 3)
        scene.work(got)
        #expect(scene.status?.counts.merged == 6)
        #expect(scene.status?.workers == [Scene.worker(5).uuid: 6])
    }

    @Test("a partition over which three workers died is given up")
    func killer() {
        var scene = Scene()
        scene.open(0)
        for worker in 1...2 {
            #expect(scene.join(worker).assigned == [[0, worker]])
            #expect(scene.tell(.left(Scene.worker(worker), .unreachable)).quarantined.isEmpty)
        }
        scene.join(3)
        let actions = scene.tell(.left(Scene.worker(3), .unreachable))
        #expect(actions.quarantined == [.killedWorkers(3)] && actions.released == [0])
        #expect(scene.join(4).assigned.isEmpty)
        #expect(scene.status?.counts.quarantined == 1)
    }

    @Test("only what a worker was working on is suspected of its death, and a suspect alone if there is one")
    func blame() {
        var scene = Scene()
        for partition in 0..<6 { scene.open(partition) }
        // Two threads: 0 and 1 are suspected, 2 to 5 not.
        scene.join(1, items: 6, threads: 2)
        scene.tell(.left(Scene.worker(1), .unreachable))
        #expect(scene.suspects == [0, 1])
        // A worker gets one suspect at a time: 0, and all others but 1.
        let got = scene.join(2, items: 6, threads: 6).assigned.map { $0[0] }
        #expect(got == [0, 2, 3, 4, 5])
        scene.tell(.left(Scene.worker(2), .unreachable))
        #expect(scene.deaths == [2, 1, 0, 0, 0, 0])
    }

    @Test("when the same worker comes back, its process lived, and the partition is cleared")
    func forgiveness() {
        var scene = Scene()
        scene.open(0)
        for epoch in UInt64(1)...9 {
            let got = scene.join(1, epoch: epoch)
            #expect(got.assigned == [[0, 1]])
            #expect(scene.suspects.isEmpty)
            let lost = scene.tell(.left(Scene.worker(1, epoch: epoch), .unreachable))
            #expect(lost.quarantined.isEmpty)
            #expect(scene.suspects == [0])
        }
    }

    @Test("workers that left are remembered, but not without limit")
    func departed() {
        var configuration = Dispatcher.Configuration()
        configuration.departedLimit = 3
        var scene = Scene(configuration)
        for worker in 1...10 {
            scene.join(worker)
            scene.open(worker)
            scene.finish(worker, by: worker)
            scene.tell(.left(Scene.worker(worker), .goodbye))
        }
        #expect(scene.dispatcher.departed.count == 3 && scene.dispatcher.departedSlots.count == 3)
        scene.join(10, epoch: 2)
        scene.join(1, epoch: 2)
        #expect(scene.status(of: 10)?.done == 1)
        #expect(scene.status(of: 1)?.done == 0)
    }
}
