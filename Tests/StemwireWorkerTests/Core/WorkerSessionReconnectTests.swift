import StemwireProtocol
import Testing

@testable import StemwireWorker

/// Broken connections, restarts of the server, and leaving.
@Suite struct WorkerSessionReconnectTests {
    @Test func resultsAreSentAgainUntilTheyAreAcknowledged() {
        var driver = SessionDriver.ready()
        driver.plan()
        for partition in UInt32(0)..<3 {
            driver.tile(partition)
            driver.close(partition)
        }
        driver.compute()
        driver.acknowledge(1)
        _ = driver.takeSent()
        driver.disconnect()
        #expect(driver.connects == 2)
        driver.welcome()
        #expect(driver.takeSent().results.map(\.item.partition) == [0, 2])
        driver.acknowledge(0)
        driver.disconnect()
        driver.advance(.milliseconds(50))
        driver.welcome()
        #expect(driver.sent.results.map(\.item.partition) == [2])
    }

    @Test func whatHadNotAllItsFramesIsDropped() {
        var driver = SessionDriver.ready(items: 3, bytes: 1000)
        driver.plan()
        driver.tile(0, bytes: 100)
        driver.tile(1, bytes: 200)
        driver.close(1)
        driver.disconnect()
        #expect(driver.dropped.count == 1)
        #expect(driver.forgotten.count == 1)
        _ = driver.takeSent()
        driver.welcome()
        // What is being computed takes its part of the credit …
        let hello = driver.sent.hellos.first
        #expect(hello?.credit.items == 2)
        #expect(hello?.credit.bytes == 800)
        driver.compute()
        // … until it is done: the server does not know that this worker has it.
        #expect(driver.sent.results.count == 1)
        #expect(driver.sent.credits == [.with { ($0.items, $0.bytes) = (3, 1000) }])
    }

    @Test func whatIsComputedWhileTheServerIsAwayIsSentLater() {
        var driver = SessionDriver.ready()
        driver.plan()
        driver.tile()
        driver.close()
        driver.disconnect()
        _ = driver.takeSent()
        driver.compute()
        #expect(driver.sent.isEmpty)
        driver.welcome()
        #expect(driver.sent.results.count == 1)
        #expect(driver.sent.hellos.first?.credit.items == 3)
        #expect(driver.sent.credits.isEmpty)
    }

    @Test func whatEndsBetweenHelloAndWelcomeGivesItsCreditAfterwards() {
        var driver = SessionDriver.ready()
        driver.plan()
        driver.tile(bytes: 300)
        driver.close()
        driver.disconnect()
        _ = driver.takeSent()
        driver.session.connected(now: driver.now)
        driver.collect()
        driver.compute()
        #expect(driver.sent.credits.isEmpty)
        driver.receive {
            $0.welcome.session = .init(repeating: 1, count: 16)
            $0.welcome.beatIntervalMs = 1000
        }
        #expect(driver.sent.results.count == 1)
        #expect(driver.sent.credits == [.with { ($0.items, $0.bytes) = (3, 1000) }])
    }

    @Test func anotherServerSessionKnowsNothing() {
        var driver = SessionDriver.ready()
        driver.plan()
        driver.tile(0)
        driver.close(0)
        driver.compute()
        driver.tile(1, bytes: 150)
        driver.close(1)
        driver.disconnect()
        _ = driver.takeSent()
        driver.welcome(session: 2)
        #expect(driver.sent.results.isEmpty)
        #expect(driver.session.answers.isEmpty)
        #expect(driver.dropped.count == 1)
        #expect(driver.sent.hellos.first?.credit.bytes == 850)
        #expect(driver.sent.credits == [.with { ($0.items, $0.bytes) = (3, 1000) }])
        // The old computation ends, and is nobody's: the new server counts plans from 1 again.
        driver.plan()
        driver.tile(1)
        driver.compute("old")
        #expect(driver.sent.results.isEmpty)
        driver.close(1)
        driver.compute("new")
        #expect(driver.outputs.last == "new")
    }

    @Test func aPlanOfTheConnectionBeforeIsForgotten() {
        var driver = SessionDriver.ready()
        driver.plan(failure: nil)
        let old = driver.plans[1] ?? 0
        driver.disconnect()
        driver.welcome()
        driver.session.planned(old, WirePlanned())
        driver.collect()
        driver.tile()
        #expect(driver.sent.failures.count == 1)
    }

    @Test func aServerThatSaysGoodbyeIsLookedForAgain() {
        var driver = SessionDriver.ready()
        driver.receive { $0.bye.reason = "the server is shutting down" }
        #expect(driver.connects == 2)
        #expect(driver.notices.last == .lost("the server says: the server is shutting down"))
    }

    @Test func messagesOutOfPlaceDoNoHarm() {
        var driver = SessionDriver()
        driver.plan()
        driver.tile()
        driver.close()
        driver.acknowledge()
        driver.receive { $0.hello.epoch = 3 }
        #expect(driver.sent.isEmpty)
        driver.welcome()
        driver.receive { $0.result.frames = 1 }
        driver.receive { _ in }
        #expect(driver.session.malformed == 1)
        #expect(driver.session.isReady)
    }

    // MARK: Merge tasks

    @Test func mergeTasksAreAnsweredOnTheirConnectionOnly() throws {
        var driver = SessionDriver.ready()
        driver.plan()
        driver.receive {
            $0.mergeTask.task = 5
            $0.mergeTask.plan = 1
        }
        driver.receive {
            $0.mergeTask.task = 6
            $0.mergeTask.plan = 9
        }
        let refused = driver.takeSent().last
        #expect(refused?.mergeTaskDone.task == 6)
        #expect(refused?.mergeTaskDone.failure.contains("does not have plan 9") == true)
        let serial = try #require(driver.tasks.keys.first)
        driver.session.merged(serial, .with { $0.task = 5 }, "merged")
        driver.session.merged(serial, .with { $0.task = 5 }, "again")
        driver.collect()
        #expect(driver.takeSent().count == 1)
        driver.receive {
            $0.mergeTask.task = 7
            $0.mergeTask.plan = 1
        }
        driver.disconnect()
        driver.welcome()
        _ = driver.takeSent()
        for task in driver.tasks.keys { driver.session.merged(task, WireMergeTaskDone(), "late") }
        driver.collect()
        #expect(driver.sent.isEmpty)
    }

    // MARK: Leaving

    @Test func leavesAtOnceWithNothingToDo() {
        var driver = SessionDriver.ready()
        driver.session.leave(within: .seconds(60), now: driver.now)
        driver.collect()
        #expect(driver.sent.byes == 1)
        #expect(driver.ending == .left(unfinished: 0))
    }

    @Test func saysGoodbyeAlsoBeforeItsHelloIsAnswered() {
        var driver = SessionDriver()
        driver.session.connected(now: driver.now)
        driver.session.leave(within: .zero, now: driver.now)
        driver.collect()
        #expect(driver.sent.byes == 1)
        #expect(driver.ending == .left(unfinished: 0))
    }

    @Test func finishesWhatIsHereBeforeItLeaves() {
        var driver = SessionDriver.ready()
        driver.plan()
        driver.tile(0)
        driver.close(0)
        driver.tile(1)
        driver.session.leave(within: .seconds(60), now: driver.now)
        driver.collect()
        #expect(driver.dropped.count == 1)
        #expect(driver.sent.byes == 0)
        // No more, and others can begin with what is not whole.
        #expect(driver.sent.credits == [WireCredit()])
        #expect(driver.sent.holdings.map(\.item.partition) == [1])
        // What still comes is for others.
        driver.tile(2)
        driver.close(1)
        #expect(driver.begun.count == 2)
        driver.compute()
        #expect(driver.sent.results.count == 1)
        #expect(driver.ending == nil)
        driver.acknowledge(0)
        #expect(driver.sent.byes == 1)
        #expect(driver.ending == .left(unfinished: 0))
    }

    @Test func leavesAtTheDeadlineWhateverIsUnfinished() {
        var driver = SessionDriver.ready()
        driver.plan()
        driver.tile(0)
        driver.close(0)
        driver.session.leave(within: .seconds(60), now: driver.now)
        driver.session.leave(within: .seconds(2), now: driver.now)
        driver.collect()
        driver.advance(.seconds(2))
        #expect(driver.sent.byes == 1)
        #expect(driver.ending == .left(unfinished: 1))
    }

    @Test func leavesWithoutWaitingWhenTheServerIsAway() {
        var driver = SessionDriver.ready()
        driver.disconnect()
        driver.session.leave(within: .seconds(60), now: driver.now)
        driver.collect()
        #expect(driver.ending == .left(unfinished: 0))
        var second = SessionDriver.ready()
        second.plan()
        second.tile(0)
        second.close(0)
        second.session.leave(within: .seconds(60), now: second.now)
        second.disconnect()
        #expect(second.ending == .left(unfinished: 1))
        #expect(second.session.nextDeadline == nil)
    }
}
