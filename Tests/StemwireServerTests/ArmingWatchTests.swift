import Testing

@testable import StemwireServer

@Suite struct ArmingWatchTests {
    @Test("an armed detector that is busy no more, and sends nothing, was ended by somebody else")
    func endedElsewhere() {
        var watch = ArmingWatch()
        watch.armed(isBusy: true)
        #expect(watch.look(isBusy: true, isArmed: true, frames: 10) == .nothing)
        let verdicts = (0..<3).map { _ in watch.look(isBusy: false, isArmed: true, frames: 10) }
        #expect(verdicts == [.nothing, .nothing, .isOver])
        #expect(watch.look(isBusy: false, isArmed: false, frames: 10) == .nothing)
    }

    @Test("a detector that is not known to say that it is armed is believed to be")
    func silent() {
        var watch = ArmingWatch()
        watch.armed(isBusy: false)
        for _ in 0..<20 { #expect(watch.look(isBusy: false, isArmed: true, frames: 0) == .nothing) }
    }

    @Test("frames on their way, new armings and ends begin the count anew")
    func interrupted() {
        var watch = ArmingWatch()
        watch.armed(isBusy: true)
        var frames = 0
        for turn in 0..<8 {
            #expect(watch.look(isBusy: false, isArmed: true, frames: frames) == .nothing)
            #expect(watch.look(isBusy: false, isArmed: true, frames: frames) == .nothing)
            switch turn % 4 {
            case 0: frames += 1
            case 1: watch.armed(isBusy: true)
            case 2: watch.ended()
            default: watch.lost()
            }
            if turn % 4 == 0 { #expect(watch.look(isBusy: false, isArmed: true, frames: frames) == .nothing) }
            if turn % 4 == 0 { watch.lost() }
        }
    }

    @Test(
        "an arming without an answer is aborted where it took effect, now or soon, unless frames come or somebody acts")
    func unanswered() {
        var watch = ArmingWatch()
        watch.armingUnanswered()
        #expect(watch.look(isBusy: false, isArmed: false, frames: 0) == .nothing)
        #expect(watch.look(isBusy: true, isArmed: true, frames: 0) == .abort)
        #expect(watch.look(isBusy: true, isArmed: true, frames: 0) == .nothing)
        watch.armingUnanswered()
        #expect(watch.look(isBusy: true, isArmed: false, frames: 5) == .nothing)
        #expect(watch.look(isBusy: true, isArmed: false, frames: 5) == .nothing)
        for act in [{ $0.armed(isBusy: true) }, { $0.ended() }] as [(inout ArmingWatch) -> Void] {
            watch.armingUnanswered()
            act(&watch)
            #expect(watch.look(isBusy: true, isArmed: true, frames: 5) == .nothing)
        }
        watch.armingUnanswered()
        for _ in 0..<4 { #expect(watch.look(isBusy: false, isArmed: false, frames: 5) == .nothing) }
        #expect(watch.look(isBusy: true, isArmed: true, frames: 5) == .nothing)
    }
}
