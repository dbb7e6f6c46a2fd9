import StemwireProtocol
import Testing

@testable import StemwireWorker

@Suite struct WorkerSessionTests {
    // MARK: Greeting

    @Test func saysWhoItIsAndWhatItCanHold() throws {
        var driver = SessionDriver(items: 5, bytes: 4096)
        #expect(driver.connects == 1)
        driver.welcome()
        let hello = try #require(driver.sent.hellos.first)
        #expect(hello.epoch == 1)
        #expect(Array(hello.clientID) == SessionDriver.clientID)
        #expect(hello.credit.items == 5)
        #expect(hello.credit.bytes == 4096)
        #expect(hello.hasWorker)
        #expect(driver.notices == [.connected(session: .init(repeating: 1, count: 16), epoch: 1)])
    }

    @Test func anUnsupportedVersionEndsIt() {
        var driver = SessionDriver()
        driver.session.connected(now: driver.now)
        driver.receive {
            $0.failure.code = "unsupportedVersion"
            $0.failure.message = "versions 2 to 3"
        }
        #expect(driver.ending == .refused("versions 2 to 3"))
        #expect(driver.session.nextDeadline == nil)
    }

    @Test func aBusyServerIsAskedAgainAndToldOnce() {
        var driver = SessionDriver()
        for attempt in 1...3 {
            driver.session.connected(now: driver.now)
            driver.collect()
            driver.receive {
                $0.failure.code = "busy"
                $0.failure.message = "256 clients"
            }
            #expect(driver.connects == attempt)
            driver.advance(.seconds(1))
            #expect(driver.connects == attempt + 1)
        }
        #expect(driver.notices == [.refused("256 clients")])
        #expect(driver.sent.hellos.map(\.epoch) == [1, 2, 3])
    }

    @Test func aServerThatDoesNotAnswerIsGreetedAgain() {
        var driver = SessionDriver()
        driver.session.connected(now: driver.now)
        driver.advance(.milliseconds(1999))
        #expect(driver.connects == 1)
        driver.advance(.milliseconds(1))
        #expect(driver.connects == 2)
        driver.welcome()
        #expect(driver.session.isReady)
        #expect(driver.sent.hellos.map(\.epoch) == [1, 2])
    }

    @Test func withoutAServerTheConnectTimeoutEndsIt() {
        var driver = SessionDriver(connectTimeout: .seconds(5))
        driver.session.notReached()
        driver.advance(.milliseconds(4999))
        #expect(driver.ending == nil)
        driver.advance(.milliseconds(1))
        guard case .unreachable(let why) = driver.ending else {
            Issue.record("not ended")
            return
        }
        #expect(why.contains("nobody listens"))
    }

    @Test func theConnectTimeoutBeginsAnewAfterALoss() {
        var driver = SessionDriver(connectTimeout: .seconds(5))
        driver.advance(.seconds(4))
        driver.welcome(silence: 60_000)
        driver.advance(.seconds(10))
        #expect(driver.ending == nil)
        driver.disconnect()
        driver.advance(.seconds(4))
        #expect(driver.ending == nil)
        driver.advance(.seconds(1))
        #expect(driver.ending != nil)
    }

    // MARK: Beats

    @Test func beatsAtTheServersInterval() {
        var driver = SessionDriver.ready()
        for _ in 0..<5 {
            driver.advance(.seconds(1))
            driver.receive { $0.beat = WireBeat() }
        }
        #expect(driver.sent.beats == 5)
    }

    @Test func aSilentServerIsGivenUpAndGreetedAnew() {
        var driver = SessionDriver.ready()
        driver.advance(.milliseconds(2999))
        #expect(driver.connects == 1)
        driver.advance(.milliseconds(1))
        #expect(driver.connects == 2)
        #expect(driver.notices.count == 2)
        driver.welcome()
        #expect(driver.sent.hellos.map(\.epoch) == [2])
    }

    @Test(arguments: [UInt32(0), .max]) func extremesFromAServerDoNotMakeABusyLoop(_ value: UInt32) {
        var driver = SessionDriver()
        driver.welcome(beat: value, silence: value)
        driver.advance(.milliseconds(19))
        #expect(driver.sent.beats == 0)
        #expect(driver.session.isReady)
    }

    @Test func aServerThatForgotTheWorkerIsGreetedAnew() {
        var driver = SessionDriver.ready()
        driver.receive { $0.failure.code = "wrongState" }
        #expect(driver.connects == 2)
        driver.welcome()
        // Again at once: with a pause now.
        driver.receive { $0.failure.code = "wrongState" }
        #expect(driver.connects == 2)
        driver.advance(.milliseconds(50))
        #expect(driver.connects == 3)
    }

    // MARK: Items

    @Test func anItemIsBegunFedClosedAndAnswered() throws {
        var driver = SessionDriver.ready()
        driver.plan()
        driver.tile(count: 2)
        driver.tile(count: 3)
        driver.close(frames: 5)
        #expect(driver.taken.values.first == 5)
        #expect(driver.session.heldBytes == 200)
        driver.compute("five")
        let sent = driver.sent
        #expect(sent.count == 2)
        #expect(sent[0].planned.plan == 1)
        #expect(sent[1].result.item.attempt == 1)
        #expect(driver.outputs.last == "five")
        #expect(driver.session.heldBytes == 0)
        #expect(driver.session.items.isEmpty)
        driver.acknowledge()
        #expect(driver.session.answers.isEmpty)
    }

    @Test func anEmptyPartitionIsAnswered() {
        var driver = SessionDriver.ready()
        driver.plan()
        driver.close(frames: 0)
        driver.compute()
        #expect(driver.sent.results.count == 1)
    }

    @Test func lostFramesAreNoticed() throws {
        var driver = SessionDriver.ready()
        driver.plan()
        driver.tile(count: 2)
        driver.close(frames: 3)
        let failed = try #require(driver.sent.failures.first)
        #expect(failed.message.contains("frames lost on the way"))
        #expect(!failed.udfError)
        #expect(driver.dropped.count == 1)
        #expect(driver.session.items.isEmpty)
    }

    @Test func framesOfAnUnknownPlanAreRefusedOnce() throws {
        var driver = SessionDriver.ready()
        driver.tile(plan: 4)
        driver.tile(plan: 4)
        driver.close(plan: 4, frames: 4)
        let failures = driver.sent.failures
        #expect(failures.count == 1)
        #expect(failures[0].udfError == false)
        #expect(driver.begun.isEmpty)
        driver.acknowledge(plan: 4)
        #expect(driver.session.answers.isEmpty)
    }

    @Test(arguments: ["acquisition", "format", "partition", "payload"]) func framesOfSomethingElseAreRefused(
        _ what: String
    ) throws {
        var driver = SessionDriver.ready()
        driver.plan()
        driver.tile()
        if what == "payload" {
            driver.receive(payloads: []) {
                $0.work.item.plan = 1
                $0.work.item.attempt = 1
            }
        } else {
            driver.tile { work in
                switch what {
                case "acquisition": work.tile.acquisition = .init(repeating: 1, count: 16)
                case "format": work.tile.format.payloadBytes = 1
                default: work.tile.partition = 3
                }
            }
        }
        #expect(driver.sent.failures.count == 1)
        #expect(driver.sent.failures.first?.udfError == false)
        #expect(driver.dropped.count == 1)
    }

    @Test func framesAfterTheEndAreRefused() {
        var driver = SessionDriver.ready()
        driver.plan()
        driver.tile()
        driver.close()
        driver.tile()
        #expect(driver.sent.failures.count == 1)
        driver.compute()
        #expect(driver.sent.results.isEmpty)
    }

    @Test func aPlanThatCannotBeDoneFailsItsItemsWhicheverComesFirst() {
        var driver = SessionDriver.ready()
        driver.plan(failure: nil)
        driver.tile(0)
        driver.plan(2, failure: "no UDF \"x\"")
        #expect(driver.sent.failures.isEmpty)
        driver.session.planned(driver.plans[1] ?? 0, .with { $0.failure = "no UDF \"y\"" })
        driver.collect()
        driver.tile(1)
        driver.close(2, plan: 2, frames: 0)
        let failures = driver.sent.failures
        #expect(failures.map(\.udfError) == [true, true, true])
        #expect(failures.map(\.message) == ["no UDF \"y\"", "no UDF \"y\"", "no UDF \"x\""])
    }

    @Test func aFailedItemIsToldAtOnceAndTheRestOfItsFramesLeft() {
        var driver = SessionDriver.ready()
        driver.plan()
        driver.tile()
        let serial = driver.begun.keys.first ?? 0
        driver.session.failed(serial, udf: "u", "division", isUDF: true)
        driver.collect()
        driver.tile()
        driver.close(frames: 4)
        #expect(driver.sent.failures.count == 1)
        #expect(driver.sent.failures.first?.udf == "u")
        #expect(driver.begun.count == 1)
    }

    @Test func anotherAttemptAtTheSamePartitionIsAnItemOfItsOwn() {
        var driver = SessionDriver.ready()
        driver.plan()
        driver.tile(attempt: 1)
        driver.tile(attempt: 2)
        driver.close(attempt: 2)
        driver.compute()
        #expect(driver.sent.results.map(\.item.attempt) == [2])
        #expect(driver.session.items.count == 1)
    }

    @Test func whatIsWithdrawnIsDroppedAndNotAnswered() {
        var driver = SessionDriver.ready()
        driver.plan()
        driver.tile(0)
        driver.close(0)
        driver.tile(1)
        for partition in UInt32(0)...2 {
            driver.receive {
                $0.withdraw.item.plan = 1
                $0.withdraw.item.partition = partition
                $0.withdraw.item.attempt = 1
            }
        }
        #expect(driver.dropped.count == 2)
        // In any case, so that the server knows when there is room again.
        #expect(driver.sent.withdrew.map(\.item.partition) == [0, 1, 2])
        driver.compute()
        // A thread that was at it reports all the same.
        for serial in driver.begun.keys { driver.session.finished(serial, WireWorkResult(), "late") }
        driver.collect()
        #expect(driver.sent.results.isEmpty)
        #expect(driver.sent.credits.isEmpty)
    }

    @Test func aServerThatAsksIsToldWhatIsHere() {
        var driver = SessionDriver.ready()
        driver.plan()
        func ask(_ partition: UInt32, frames: UInt64, closed: Bool = false) {
            driver.receive {
                $0.ask.item.plan = 1
                $0.ask.item.partition = partition
                $0.ask.item.attempt = 1
                $0.ask.frames = frames
                $0.ask.closed = closed
            }
        }
        driver.tile(0, count: 2)
        ask(0, frames: 2)
        driver.close(0)
        ask(0, frames: 2, closed: true)
        // Nothing was sent of this one yet, of that one it was.
        ask(1, frames: 0)
        ask(2, frames: 3)
        driver.tile(3, count: 2)
        ask(3, frames: 4)
        #expect(driver.sent.holdings.map(\.isWhole) == [true, true, true, false, false])
        #expect(driver.dropped.count == 1)
        driver.compute()
        ask(0, frames: 2, closed: true)
        #expect(driver.sent.results.count == 2)
        #expect(driver.outputs.last == "result")
    }

    @Test func theEndOfAPlanTakesItsItemsAndAnswersAlong() {
        var driver = SessionDriver.ready()
        driver.plan()
        driver.tile(0)
        driver.close(0)
        driver.compute()
        driver.tile(1)
        driver.receive { $0.planOver.plan = 1 }
        #expect(driver.session.answers.isEmpty)
        #expect(driver.session.items.isEmpty)
        #expect(driver.forgotten.count == 1)
        driver.tile(2)
        #expect(driver.sent.failures.count == 1)
    }

    @Test func aPlanThatIsToldTwiceIsAnsweredTwiceAndPreparedOnce() {
        var driver = SessionDriver.ready()
        driver.plan()
        driver.plan(failure: nil)
        #expect(driver.sent.count == 2)
        #expect(driver.session.lastSerial == 1)
    }
}
