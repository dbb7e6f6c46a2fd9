import StemwireClient
import StemwireProtocol
import StemwireUDF
import Testing
import ZeroMQ

@testable import StemwireWorker

@Suite struct ComputeQueueTests {
    private let scan = TestScan()

    private func plan() throws -> RunPlan { try RunPlan([UDFRequest(name: "sum")], meta: scan.meta()) }

    private func tile(_ position: Int) throws -> StemwireClient.FrameTile {
        var factory = TileFactory(verifiesChecksums: true)
        let range = position..<position + 1
        return try factory.make(
            scan.tile(range), payload: ReceivedPart(Message(copying: TestScan.payload(range))), isFetched: true)
    }

    private func id(_ partition: UInt32) -> WorkItemID {
        var wire = WireWorkItem()
        (wire.plan, wire.partition, wire.attempt) = (1, partition, 1)
        return WorkItemID(wire)
    }

    /// A queue with a plan that is ready.
    private func queue(threads: Int) throws -> ComputeQueue {
        var queue = ComputeQueue(threads: threads)
        queue.prepare(.prepare(plan: 1, WireWorkPlan(), parts: []), plan: 1)
        _ = queue.next(for: 0)
        queue.prepared(1, try plan())
        for thread in 0..<threads { _ = queue.next(for: thread) }
        return queue
    }

    private func item(_ step: ComputeQueue.Step) -> Serial? {
        switch step {
        case .tile(let work): work.item
        case .close(let item, _, _, _): item
        default: nil
        }
    }

    @Test func aPartitionStaysWithTheThreadThatBeganIt() throws {
        var queue = try queue(threads: 2)
        queue.begin(10, id(0), plan: 1)
        queue.add(try tile(0), to: 10)
        #expect(queue.takeWoken() == [0])
        let first = item(queue.next(for: 0))
        #expect(first == 10)
        queue.add(try tile(1), to: 10)
        queue.close(10)
        // The other thread has nothing to do, though there is work.
        guard case .wait = queue.next(for: 1) else {
            Issue.record("a second thread took it")
            return
        }
        let second = item(queue.next(for: 0))
        #expect(second == 10)
        guard case .close(let closed, _, _, _) = queue.next(for: 0) else {
            Issue.record("not closed")
            return
        }
        #expect(closed == 10)
    }

    @Test func partitionsAreSharedOutAndTheOldestComesFirst() throws {
        var queue = try queue(threads: 2)
        for serial in Serial(10)...12 {
            queue.begin(serial, id(UInt32(serial) - 10), plan: 1)
            queue.add(try tile(Int(serial - 10) * 8), to: serial)
        }
        #expect(queue.takeWoken() == [0, 1])
        let taken = [item(queue.next(for: 0)), item(queue.next(for: 1)), item(queue.next(for: 1))]
        #expect(taken == [10, 11, 12])
        queue.add(try tile(16), to: 12)
        queue.add(try tile(9), to: 11)
        let next = item(queue.next(for: 1))
        #expect(next == 11)
    }

    @Test func framesWaitForTheirPlan() throws {
        var queue = ComputeQueue(threads: 1)
        queue.prepare(.prepare(plan: 1, WireWorkPlan(), parts: []), plan: 1)
        queue.begin(10, id(0), plan: 1)
        queue.add(try tile(0), to: 10)
        guard case .job(.prepare, _) = queue.next(for: 0), case .wait = queue.next(for: 0) else {
            Issue.record("the plan comes first")
            return
        }
        queue.prepared(1, try plan())
        #expect(queue.takeWoken() == [0])
        let taken = item(queue.next(for: 0))
        #expect(taken == 10)
    }

    @Test func whatIsDroppedOrOverIsReleasedByItsThread() throws {
        var queue = try queue(threads: 2)
        queue.begin(10, id(0), plan: 1)
        queue.add(try tile(0), to: 10)
        _ = queue.next(for: 0)
        queue.forget(plan: 1)
        queue.add(try tile(1), to: 10)
        queue.remove(10)
        queue.add(try tile(2), to: 10)
        guard case .release(let items, let plans) = queue.next(for: 0) else {
            Issue.record("nothing released")
            return
        }
        #expect(items == [10])
        #expect(plans == [1])
        guard case .release([], [1]) = queue.next(for: 1), case .wait = queue.next(for: 1) else {
            Issue.record("the other thread keeps the plan")
            return
        }
    }

    @Test func aStopIsForAll() throws {
        var queue = try queue(threads: 2)
        _ = queue.takeWoken()
        queue.stop()
        #expect(queue.takeWoken() == [0, 1])
        guard case .stop = queue.next(for: 0), case .stop = queue.next(for: 1) else {
            Issue.record("not stopped")
            return
        }
    }
}
