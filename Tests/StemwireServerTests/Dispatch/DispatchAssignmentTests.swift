import Testing

@testable import StemwireServer

@Suite("Dispatcher: who gets what")
struct DispatchAssignmentTests {
    private typealias Scene = DispatchScene

    @Test("an item goes to the worker with the most free items, then bytes")
    func mostCredit() {
        var scene = Scene()
        scene.join(1, items: 2, bytes: 1000)
        scene.join(2, items: 3, bytes: 500)
        scene.join(3, items: 2, bytes: 2000)
        let got = [0, 2, 4, 6, 8].flatMap { scene.open($0).assigned }
        // 2 has three items free, then two like the others, which have more bytes.
        #expect(got == [[0, 2], [2, 3], [4, 1], [6, 2], [8, 3]])
    }

    @Test("among workers with as many items free, the one with the partition before gets it")
    func neighbours() {
        var scene = Scene()
        scene.join(1, items: 4, bytes: 2000)
        scene.join(2, items: 3, bytes: 9000)
        let got = (10..<13).flatMap { scene.open($0).assigned }
        #expect(got == [[10, 1], [11, 1], [12, 2]])
        var other = Scene()
        other.join(1, items: 4, bytes: 2000)
        other.join(2, items: 3, bytes: 9000)
        let apart = [10, 12].flatMap { other.open($0).assigned }
        #expect(apart == [[10, 1], [12, 2]])
    }

    @Test("only workers that have all UDFs of the run get its items; meanwhile they wait")
    func capability() {
        let com = UDFKey(name: "com", contentHash: 7)
        var scene = Scene(needs: [Scene.sum, com])
        scene.join(1, udfs: [Scene.sum])
        scene.join(2, udfs: [Scene.sum, UDFKey(name: "com", contentHash: 8)])
        #expect(scene.open(0).assigned.isEmpty)
        #expect(scene.status?.hasWorker == false)
        #expect(scene.join(3, udfs: [com, Scene.sum]).assigned == [[0, 3]])
        #expect(scene.status?.hasWorker == true)
        // A worker can learn.
        scene.tell(.left(Scene.worker(3), .goodbye))
        #expect(scene.join(1, udfs: [com, Scene.sum]).assigned == [[0, 1]])
    }

    @Test("without workers items wait, the oldest is known, and all are done when one comes")
    func nobodyThere() {
        var scene = Scene()
        scene.open(0)
        scene.pass(.seconds(20))
        scene.open(1)
        scene.pass(.seconds(5))
        #expect(scene.dispatcher.oldestUnassignedAge(at: scene.now) == .seconds(25))
        #expect(scene.join(1).assigned == [[0, 1], [1, 1]])
        #expect(scene.dispatcher.oldestUnassignedAge(at: scene.now) == nil)
    }

    @Test("credit by items is not exceeded, and comes back with the result")
    func itemCredit() {
        var scene = Scene()
        scene.join(1, items: 2)
        let got = (0..<4).flatMap { scene.open($0).assigned }
        #expect(got == [[0, 1], [1, 1]])
        let next = scene.tell(.result(Scene.item(1), attempt: 1, from: Scene.worker(1)))
        #expect(next.assigned == [[2, 1]])
    }

    @Test("an item is charged with what is announced, or with what has come if that is more")
    func byteCredit() {
        var scene = Scene()
        scene.join(1, bytes: 1000)
        let item = Scene.item(0)
        scene.tell(.opened(item, bytes: 600), .grew(item, bytes: 100))
        #expect(scene.status(of: 1)?.inFlightBytes == 600)
        #expect(scene.open(1, bytes: 500).assigned.isEmpty)
        scene.tell(.grew(item, bytes: 700))
        #expect(scene.status(of: 1)?.inFlightBytes == 800)
        scene.tell(.grew(item, bytes: -5))
        #expect(scene.status(of: 1)?.inFlightBytes == 800)
        // Nothing was announced of this one.
        let other = Scene.item(2)
        scene.join(2)
        scene.tell(.opened(other, bytes: 0), .grew(other, bytes: 30), .grew(other, bytes: 30))
        #expect(scene.status(of: 2)?.inFlightBytes == 560)
    }

    @Test("frames that come stream on to the worker, and the end is told")
    func streaming() {
        var scene = Scene()
        scene.join(1)
        let item = Scene.item(0)
        let worker = Scene.worker(1)
        #expect(scene.tell(.opened(item, bytes: 0)) == [.assign(item, to: worker, attempt: 1)])
        #expect(scene.tell(.grew(item, bytes: 5)) == [.extend(item, to: worker, attempt: 1)])
        #expect(!scene.dispatcher.isClosed(item))
        #expect(scene.tell(.closed(item)) == [.finish(item, to: worker, attempt: 1)])
        #expect(scene.dispatcher.isClosed(item))
        #expect(scene.tell(.closed(item), .grew(item, bytes: 5)).isEmpty)
    }

    @Test("an item larger than all credit goes when the worker is free; smaller ones behind it do not overtake")
    func largeItem() {
        var scene = Scene()
        scene.join(1, bytes: 150)
        scene.open(0)
        #expect(scene.open(1, bytes: 10_000).assigned.isEmpty)
        #expect(scene.open(2, bytes: 10).assigned.isEmpty)
        #expect(scene.finish(0, by: 1).assigned == [[1, 1]])
        #expect(scene.finish(1, by: 1).assigned == [[2, 1]])
    }

    @Test("credit is what a worker takes at once; with 0 items it finishes what it has and gets no more")
    func newCredit() {
        var scene = Scene()
        scene.join(1, items: 1)
        scene.open(0)
        scene.open(1)
        #expect(scene.tell(.credit(Scene.worker(1), items: 2, bytes: 1000)).assigned == [[1, 1]])
        #expect(scene.tell(.credit(Scene.worker(1), items: 2, bytes: 1000)).assigned.isEmpty)
        scene.tell(.credit(Scene.worker(1), items: 0, bytes: 0))
        scene.open(2)
        let last = scene.finish(0, by: 1) + scene.finish(1, by: 1)
        #expect(last.assigned.isEmpty)
        #expect(scene.tell(.credit(Scene.worker(1), items: 1, bytes: 0)).assigned == [[2, 1]])
    }

    @Test("runs that need different UDFs take turns")
    func turns() {
        var scene = Scene()
        let second = RunID(generation: 1, number: 1)
        scene.tell(.runBegan(second, needs: []))
        for partition in 0..<3 { scene.open(partition) }
        for partition in 10..<13 { scene.open(partition, run: second) }
        let got = scene.join(1, items: 6).assigned.map { $0[0] }
        #expect(got == [0, 10, 1, 11, 2, 12] || got == [10, 0, 11, 1, 12, 2])
    }

    @Test("a late item gets a second copy when credit is idle; the first result wins, and the other is withdrawn")
    func lateItem() {
        var scene = Scene()
        scene.join(1)
        scene.join(2, items: 1)
        for partition in 0..<20 {
            scene.open(partition)
            scene.pass(.milliseconds(100), heard: 1, 2)
            scene.finish(partition, by: 1)
        }
        scene.open(20)
        #expect(scene.pass(.milliseconds(300), heard: 1, 2).assigned.isEmpty)
        let late = scene.pass(.milliseconds(200), heard: 1, 2)
        #expect(late.assigned == [[20, 2]])
        #expect(scene.status?.redos.map(\.reason) == [.late])
        #expect(scene.pass(.seconds(2), heard: 1, 2).assigned.isEmpty)
        let done = scene.finish(20, 2, by: 2)
        #expect(done.withdrawn == [[20, 1]] && done.released == [20])
        let answer = scene.tell(.result(Scene.item(20), attempt: 1, from: Scene.worker(1)))
        #expect(answer.map(\.isMerge) == [false, false] && answer.count == 2)
    }

    /// A scene in which items take no time, and worker 1 has item 20.
    private static func quickScene(isLocal: Bool = false) -> Scene {
        var scene = Scene()
        scene.join(1, isLocal: isLocal)
        for partition in 0..<20 {
            scene.open(partition)
            scene.finish(partition, by: 1)
        }
        return scene
    }

    @Test("no second copy while another item waits")
    func secondCopyWaits() {
        var scene = Self.quickScene()
        scene.open(20)
        scene.tell(.credit(Scene.worker(1), items: 1, bytes: 1000))
        scene.join(2, items: 3, bytes: 200)
        #expect(scene.open(21, bytes: 10).assigned == [[21, 2]])
        #expect(scene.open(22, bytes: 5000).assigned.isEmpty)
        #expect(scene.pass(.seconds(2), heard: 1, 2).assigned.isEmpty)
        let next = scene.finish(21, by: 2).assigned
        #expect(next == [[22, 2]])
        let last = scene.finish(22, by: 2).assigned
        #expect(last == [[20, 2]])
    }

    @Test("no second copy of an item whose frames still come, nor of a local worker's")
    func noSecondCopy() {
        var scene = Self.quickScene()
        scene.tell(.opened(Scene.item(20), bytes: 10), .grew(Scene.item(20), bytes: 10))
        scene.join(2)
        #expect(scene.pass(.seconds(5), heard: 1, 2).assigned.isEmpty)
        scene.tell(.closed(Scene.item(20)))
        #expect(scene.pass(.seconds(1), heard: 1, 2).assigned == [[20, 2]])

        var local = Self.quickScene(isLocal: true)
        local.open(20)
        local.join(2)
        #expect(local.pass(.seconds(5), heard: 2).assigned.isEmpty)
    }

    @Test("an item of a run too small to know what is usual is late after half a minute")
    func lateWithoutSamples() {
        var scene = DispatchScene()
        scene.join(1)
        scene.open(0)
        scene.join(2)
        // It says that it is at work, for ever.
        var actions: [DispatchAction] = []
        for _ in 0..<29 {
            actions += scene.pass(.seconds(1), heard: 1, 2)
            actions += scene.tell(.working(DispatchScene.item(0), attempt: 1, from: DispatchScene.worker(1)))
        }
        #expect(actions.assigned == [])
        #expect(scene.pass(.seconds(2), heard: 1, 2).assigned == [[0, 2]])
        #expect(scene.finish(0, 2, by: 2).withdrawn == [[0, 1]])
    }

    @Test("a local worker's item is never late, and its frames stay when memory is short")
    func localItemStays() {
        var scene = Self.quickScene()
        scene.tell(.left(Scene.worker(1), .goodbye))
        scene.join(2, isLocal: true)
        #expect(scene.open(20).assigned == [[20, 2]])
        scene.join(3)
        #expect(scene.pass(.seconds(5), heard: 3).assigned.isEmpty)
        #expect(scene.tell(.memoryShort(bytes: 1000)).isEmpty)
    }

    @Test("no second copy at a local worker")
    func noLocalCopy() {
        var scene = Self.quickScene()
        scene.open(20)
        scene.join(2, isLocal: true)
        #expect(scene.pass(.seconds(5), heard: 1).assigned.isEmpty)
    }
}

extension DispatchAction {
    var isMerge: Bool { if case .merge = self { true } else { false } }
}
