import MerlinProtocol
import Testing

@testable import MerlinSimulator

@Suite struct DetectorStateTests {
    private func detector(
        frames: [Int] = [3, 4], triggered: Bool = false, free: Bool = false, layout: SensorLayout = .single
    ) -> DetectorState {
        let side = layout.isQuad ? (layout.hasGap ? 514 : 512) : 256
        var setup = DetectorSetup(
            layout: layout, fullShape: SigShape(height: side, width: side), counterDepth: .twelve, navShape: frames)
        setup.waitsForTrigger = triggered
        setup.runsFreely = free
        return DetectorState(setup)
    }

    private func send(_ text: String, to state: inout DetectorState) -> String {
        do {
            return "\(state.answer(try ControlRequest.parse(text.utf8)))"
        } catch {
            return "\(error)"
        }
    }

    @Test(arguments: [
        ("GET,IMAGEX", "GET,IMAGEX,256,0"),
        ("get,ImageY,0", "GET,ImageY,256,0"),
        ("GET,COUNTERDEPTH,0", "GET,COUNTERDEPTH,12,0"),
        ("GET,DETECTORSTATUS", "GET,DETECTORSTATUS,0,0"),
        ("GET,NUMFRAMESTOACQUIRE", "GET,NUMFRAMESTOACQUIRE,12,0"),
        ("GET,ACQUISITIONTIME", "GET,ACQUISITIONTIME,1.000000,0"),
        ("GET,NOSUCHTHING", "GET,NOSUCHTHING,,2"),
        ("SET,NOSUCHTHING,1", "SET,NOSUCHTHING,2"),
        ("SET,IMAGEX,100", "SET,IMAGEX,2"),
        ("SET,COUNTERDEPTH,6", "SET,COUNTERDEPTH,0"),
        ("SET,COUNTERDEPTH,7", "SET,COUNTERDEPTH,3"),
        ("SET,TRIGGERSTART,5", "SET,TRIGGERSTART,0"),
        ("SET,TRIGGERSTART,6", "SET,TRIGGERSTART,3"),
        ("SET,TRIGGERSTART,soft", "SET,TRIGGERSTART,3"),
        ("SET,NUMFRAMESTOACQUIRE,0", "SET,NUMFRAMESTOACQUIRE,0"),
        ("SET,NUMFRAMESTOACQUIRE,-1", "SET,NUMFRAMESTOACQUIRE,3"),
        ("SET,NUMFRAMESTOACQUIRE,42949672960", "SET,NUMFRAMESTOACQUIRE,0"),
        ("SET,NUMFRAMESPERTRIGGER,128.0", "SET,NUMFRAMESPERTRIGGER,0"),
        ("SET,THRESHOLD0,999.99", "SET,THRESHOLD0,0"),
        ("SET,THRESHOLD7,1000", "SET,THRESHOLD7,3"),
        ("SET,ACQUISITIONTIME,nan", "SET,ACQUISITIONTIME,3"),
        ("SET,FILEDIRECTORY,c:\\data,new", "SET,FILEDIRECTORY,0"),
        ("SET,COLOURMODE,1", "SET,COLOURMODE,3"),
        ("CMD,STARTACQUISITION", "CMD,STARTACQUISITION,0"),
        ("CMD,STARTACQUISITION,0", "CMD,STARTACQUISITION,0"),
        ("CMD,SOFTTRIGGER", "CMD,SOFTTRIGGER,0"),
        ("CMD,STOPACQUISITION", "CMD,STOPACQUISITION,0"),
        ("CMD,DANCE", "CMD,DANCE,2"),
    ])
    func requestsAreAnsweredAsByTheDetector(request: String, reply: String) {
        var state = detector()
        #expect(send(request, to: &state) == reply)
    }

    @Test func valuesReadBackAsTheDetectorWritesThem() {
        var state = detector()
        for (name, set, get) in [
            ("ACQUISITIONTIME", "1", "1.000000"), ("ACQUISITIONPERIOD", "0.41227", "0.412270"), ("GAIN", "2", "2"),
            ("FILENAME", "a,b", "a,b"), ("NUMFRAMESTOACQUIRE", "7", "7"),
        ] {
            #expect(send("SET,\(name),\(set)", to: &state) == "SET,\(name),0")
            #expect(send("GET,\(name)", to: &state) == "GET,\(name),\(get),0")
        }
        #expect(send("CMD,RESET", to: &state) == "CMD,RESET,0")
        #expect(send("GET,GAIN", to: &state) == "GET,GAIN,0,0")
    }

    @Test func continuousReadWriteExcludesTwentyFourBits() {
        var state = detector()
        #expect(send("SET,COUNTERDEPTH,24", to: &state).hasSuffix(",0"))
        #expect(send("SET,CONTINUOUSRW,1", to: &state).hasSuffix(",3"))
        #expect(send("SET,COUNTERDEPTH,12", to: &state).hasSuffix(",0"))
        #expect(send("SET,CONTINUOUSRW,1", to: &state).hasSuffix(",0"))
        #expect(send("SET,COUNTERDEPTH,24", to: &state).hasSuffix(",3"))
        #expect(send("SET,COUNTERDEPTH,1", to: &state).hasSuffix(",0"))
    }

    @Test func imageSizeIsTheDecodedOne() {
        var gap = detector(layout: .quadWithGap)
        #expect(send("SET,FILEFORMAT,2", to: &gap).hasSuffix(",0"))
        #expect(send("GET,IMAGEX", to: &gap) == "GET,IMAGEX,514,0")
        var quad = detector(layout: .quad)
        #expect(send("SET,ROIROWS,64", to: &quad).hasSuffix(",0"))
        #expect(send("SET,ROIROWS,257", to: &quad).hasSuffix(",3"))
        #expect(send("GET,IMAGEX", to: &quad) == "GET,IMAGEX,512,0")
        #expect(send("GET,IMAGEY", to: &quad) == "GET,IMAGEY,128,0")
    }

    /// The next step of the data side in words; nil to wait.
    private func step(_ state: inout DetectorState, _ streaming: inout UInt64?, limit: Int) -> String? {
        switch state.nextStep(streaming: streaming, limit: limit) {
        case .wait: return nil
        case .begin(let plan):
            streaming = plan.id
            return "begin \(plan.id) \(plan.frameCount ?? 0)"
        case .frames(let frames): return "\(frames.lowerBound)-\(frames.upperBound - 1)"
        case .end(let end):
            streaming = nil
            return "\(end)"
        }
    }

    /// The steps of the data side until it waits; 50 at most.
    private func steps(_ state: inout DetectorState, _ streaming: inout UInt64?, limit: Int = 5) -> [String] {
        var steps: [String] = []
        while steps.count < 50, let step = step(&state, &streaming, limit: limit) { steps.append(step) }
        return steps
    }

    @Test func anInternalTriggerSendsAllFramesAtOnce() {
        var state = detector()
        var streaming: UInt64?
        #expect(steps(&state, &streaming) == [])
        _ = send("CMD,STARTACQUISITION", to: &state)
        #expect(send("GET,DETECTORSTATUS", to: &state) == "GET,DETECTORSTATUS,1,0")
        #expect(send("SET,GAIN,1", to: &state) == "SET,GAIN,1")
        #expect(send("CMD,STARTACQUISITION", to: &state) == "CMD,STARTACQUISITION,1")
        #expect(steps(&state, &streaming) == ["begin 0 12", "0-4", "5-9", "10-11", "complete"])
        #expect(send("GET,DETECTORSTATUS", to: &state) == "GET,DETECTORSTATUS,0,0")
        _ = send("SET,NUMFRAMESTOACQUIRE,2", to: &state)
        _ = send("CMD,STARTACQUISITION", to: &state)
        #expect(steps(&state, &streaming) == ["begin 1 2", "0-1", "complete"])
    }

    @Test func whoeverHasTheLastFrameMayArmAgain() {
        var state = detector()
        _ = send("CMD,STARTACQUISITION", to: &state)
        _ = state.nextStep(streaming: nil, limit: 1)
        #expect(state.nextStep(streaming: 0, limit: 11) == .frames(0..<11))
        state.framesLeave(0)
        #expect(send("GET,DETECTORSTATUS", to: &state) == "GET,DETECTORSTATUS,1,0")
        #expect(state.nextStep(streaming: 0, limit: 11) == .frames(11..<12))
        #expect(send("CMD,STARTACQUISITION", to: &state) == "CMD,STARTACQUISITION,1")
        state.framesLeave(0)
        #expect(send("CMD,STARTACQUISITION", to: &state) == "CMD,STARTACQUISITION,0")
        var streaming: UInt64? = 0
        #expect(steps(&state, &streaming, limit: 12) == ["complete", "begin 1 12", "0-11", "complete"])
    }

    @Test func eachTriggerReleasesItsFrames() {
        var state = detector(triggered: true)
        var streaming: UInt64?
        _ = send("SET,NUMFRAMESPERTRIGGER,4", to: &state)
        _ = send("CMD,SOFTTRIGGER", to: &state)
        _ = send("CMD,STARTACQUISITION", to: &state)
        #expect(steps(&state, &streaming) == ["begin 0 12"])
        #expect(state.waitingForTrigger != nil)
        _ = send("CMD,SOFTTRIGGER", to: &state)
        #expect(state.waitingForTrigger == nil)
        #expect(steps(&state, &streaming) == ["0-3"])
        _ = send("CMD,SOFTTRIGGER", to: &state)
        _ = send("CMD,SOFTTRIGGER", to: &state)
        _ = send("CMD,SOFTTRIGGER", to: &state)
        #expect(steps(&state, &streaming) == ["4-8", "9-11", "complete"])
        #expect(state.trigger() == nil)
    }

    @Test func hardwareTriggersTellWhenTheirFramesAreSent() throws {
        var state = detector()
        var streaming: UInt64?
        _ = send("SET,TRIGGERSTART,1", to: &state)
        _ = send("SET,NUMFRAMESPERTRIGGER,6", to: &state)
        _ = send("CMD,STARTACQUISITION", to: &state)
        _ = steps(&state, &streaming)
        _ = send("CMD,SOFTTRIGGER", to: &state)
        #expect(steps(&state, &streaming) == [])
        let accepted = state.trigger()
        let ticket = try #require(accepted)
        #expect(!state.isDone(ticket))
        #expect(state.nextStep(streaming: streaming, limit: 6) == .frames(0..<6))
        #expect(!state.isDone(ticket))
        #expect(state.nextStep(streaming: streaming, limit: 6) == .wait)
        #expect(state.isDone(ticket))
        let again = state.trigger()
        let second = try #require(again)
        _ = send("CMD,ABORT", to: &state)
        #expect(state.isDone(second))
    }

    @Test(arguments: [("STOPACQUISITION", "stopped"), ("ABORT", "aborted"), ("RESET", "aborted")])
    func acquisitionsAreEndedByCommand(command: String, end: String) {
        var state = detector()
        var streaming: UInt64?
        _ = send("SET,NUMFRAMESTOACQUIRE,0", to: &state)
        _ = send("CMD,STARTACQUISITION", to: &state)
        #expect(state.nextStep(streaming: nil, limit: 1) != .wait)
        streaming = 0
        #expect(state.nextStep(streaming: streaming, limit: 1000) == .frames(0..<1000))
        _ = send("CMD,\(command)", to: &state)
        #expect(send("GET,DETECTORSTATUS", to: &state) == "GET,DETECTORSTATUS,0,0")
        // The next one may be armed before the data side has noticed.
        #expect(send("CMD,STARTACQUISITION", to: &state).hasSuffix(",0"))
        let frames = command == "RESET" ? 12 : 0
        #expect(steps(&state, &streaming, limit: 1_000_000).prefix(2) == [end, "begin 1 \(frames)"])
    }

    @Test func aDataClientThatLeavesTakesItsAcquisitionAlong() {
        var state = detector()
        _ = send("CMD,STARTACQUISITION", to: &state)
        state.dataClientLeft()
        #expect(state.isBusy)
        _ = state.nextStep(streaming: nil, limit: 1)
        state.dataClientLeft()
        #expect(!state.isBusy)
        #expect(state.nextStep(streaming: nil, limit: 1) == .wait)
    }

    @Test func aFreeDetectorRunsUntilItIsTakenOver() {
        var state = detector(free: true)
        var streaming: UInt64?
        #expect(steps(&state, &streaming) == [])
        state.dataClientConnected()
        #expect(steps(&state, &streaming, limit: 12).prefix(4) == ["begin 0 12", "0-11", "complete", "begin 1 12"])
        // Settings are free until a client arms; they count from the next acquisition on.
        #expect(send("SET,NUMFRAMESTOACQUIRE,5", to: &state).hasSuffix(",0"))
        while streaming != nil { _ = step(&state, &streaming, limit: 12) }
        #expect(step(&state, &streaming, limit: 3)?.hasSuffix(" 5") == true)
        #expect(step(&state, &streaming, limit: 3) == "0-2")
        _ = send("CMD,STARTACQUISITION", to: &state)
        #expect(send("SET,NUMFRAMESTOACQUIRE,6", to: &state).hasSuffix(",1"))
        let rest = steps(&state, &streaming, limit: 5)
        #expect(rest.count == 5)
        #expect(rest.prefix(2) == ["3-4", "complete"])
        #expect(rest.suffix(2) == ["0-4", "complete"])
        state.dataClientLeft()
        state.dataClientConnected()
        #expect(steps(&state, &streaming, limit: 5).first?.hasPrefix("begin") == true)
    }

    @Test func anEndlessFreeRunIsEndedByArming() {
        var setup = DetectorSetup(
            layout: .single, fullShape: SigShape(height: 8, width: 8), counterDepth: .twelve, navShape: [4])
        setup.isContinuous = true
        setup.runsFreely = true
        var state = DetectorState(setup)
        state.dataClientConnected()
        guard case .begin(let plan) = state.nextStep(streaming: nil, limit: 1) else {
            Issue.record("nothing begins")
            return
        }
        #expect(plan.frameCount == nil && plan.isFreeRun)
        #expect(state.nextStep(streaming: plan.id, limit: 100) == .frames(0..<100))
        _ = send("CMD,STARTACQUISITION", to: &state)
        #expect(state.nextStep(streaming: plan.id, limit: 1) == .end(.stopped))
    }

    @Test func recordingsCannotBeSetToWhatTheyAreNot() {
        var setup = DetectorSetup(
            layout: .quad, fullShape: SigShape(height: 512, width: 512), counterDepth: .one, isRaw: true,
            navShape: [9])
        setup.isRecording = true
        var state = DetectorState(setup)
        #expect(send("SET,COUNTERDEPTH,12", to: &state).hasSuffix(",3"))
        #expect(send("SET,COUNTERDEPTH,1", to: &state).hasSuffix(",0"))
        #expect(send("SET,FILEFORMAT,0", to: &state).hasSuffix(",3"))
        #expect(send("SET,ROIROWS,64", to: &state).hasSuffix(",3"))
        #expect(send("GET,ROIROWS", to: &state) == "GET,ROIROWS,256,0")
    }
}
