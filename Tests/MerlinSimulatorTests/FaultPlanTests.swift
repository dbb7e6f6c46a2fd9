import MerlinProtocol
import MerlinSimulator
import Testing

@Suite struct FaultPlanTests {
    private func events(_ specification: String, frames: Int = 5, seed: UInt64 = 1, acquisition: UInt64 = 0) throws
        -> [WireEvent]
    {
        try FaultPlan(specification).apply(
            frameCount: frames, messageBytes: 400, seed: seed, acquisition: acquisition
        ).events
    }

    @Test func certainFaultsHitTheirFrames() throws {
        #expect(try events("") == [.header] + (0..<5).map { .frame($0) })
        #expect(try events("drop-first,drop-middle,drop-last") == [.header, .frame(1), .frame(3)])
        #expect(try events("drop-at=2+4-5") == [.header, .frame(0), .frame(2)])
        #expect(try events("duplicate-at=2", frames: 2) == [.header, .frame(0), .frame(1), .frame(1)])
        #expect(try events("header-twice", frames: 1) == [.header, .header, .frame(0)])
        #expect(try events("header-at=2", frames: 2) == [.header, .frame(0), .header, .frame(1)])
        let stall = WireEvent.pause(.milliseconds(500))
        #expect(try events("stall-at=2:500ms", frames: 2) == [.header, .frame(0), stall, .frame(1)])
        #expect(try events("trickle-at=1", frames: 1) == [.header, .trickled(0, over: .seconds(1))])
        #expect(try events("abort-at=3") == [.header, .frame(0), .frame(1), .abort])
        #expect(try events("half-close-at=2") == [.header, .frame(0), .halfClose])
        #expect(try events("reset-at=1") == [.header, .truncated(0, bytes: 200), .reset])
        #expect(try events("reorder=1", frames: 5) == [.header] + [1, 0, 3, 2, 4].map { .frame($0) })
        #expect(try events("abort-at=2,reorder=1") == [.header, .frame(0), .abort])
    }

    @Test func faultsOfOnlySomeAcquisitions() throws {
        #expect(try events("drop-first,runs=2", acquisition: 1).count == 5)
        #expect(try events("drop-first,runs=2", acquisition: 2).count == 6)
    }

    @Test func oneSeedIsOneRun() throws {
        let specification = "drop=0.1,duplicate=0.1,reorder=0.1,truncate=0.1,wrong-length=0.1,garbage=0.1,nul=0.1"
        let first = try events(specification, frames: 300, seed: 7)
        #expect(try events(specification, frames: 300, seed: 7) == first)
        #expect(try events(specification, frames: 300, seed: 8) != first)
        #expect(try events(specification, frames: 300, seed: 7, acquisition: 1) != first)
        // One fault more does not move the others.
        func drops(_ events: [WireEvent]) -> Set<Int> {
            Set(events.compactMap { if case .frame(let frame) = $0 { frame } else { nil } })
        }
        #expect(try drops(events("drop=0.2", frames: 300)) == drops(events("drop=0.2,garbage=0.5", frames: 300)))
    }

    @Test func probabilitiesAreMet() throws {
        let plan = try FaultPlan("drop=0.25,duplicate=0.5")
        let truth = plan.apply(frameCount: 4000, messageBytes: 400, seed: 3).truth
        #expect((2800...3200).contains(truth.placeable.count))
        #expect((1300...1700).contains(truth.duplicates))
    }

    @Test(arguments: [
        "explode", "drop", "drop=2", "drop=often", "drop-first=1", "abort-at=0", "abort-at=", "stall-at=3:fast",
        "abort-at=1,reset-at=2", "drop-at=5-", "drop-at=7-3", "stall-at=1:2:3", "runs=-1", "header-at=x",
    ])
    func nonsenseIsNamed(specification: String) {
        let failure = #expect(throws: FaultPlanError.self) { try FaultPlan(specification) }
        #expect(failure.map { specification.contains($0.word) } == true)
    }

    /// Every event's bytes, read by the parser of the real data path: what is called intact arrives, and nothing else.
    @Test(arguments: [1, 2, 3, 4, 5, 6, 7, 8] as [UInt64]) func theTruthIsWhatAReceiverFinds(seed: UInt64) throws {
        let format = try DetectorFormat(
            layout: .single, sigShape: SigShape(height: 8, width: 8), counterDepth: .six, pixelType: .u08)
        let pattern = SelfIdentifyingPattern(format)
        let encoder = FrameEncoder(format)
        let template = FrameHeaderText(format).template()
        let size = MPXPrefix.byteCount + format.bodyBytes
        let header =
            MPXPrefix.encoded(bodyBytes: 2048)
            + AcquisitionHeaderText(format: format, frames: 40, framesPerTrigger: 1, time: .now).encoded()
        func message(_ frame: Int) -> [UInt8] {
            var head = [UInt8](repeating: 0, count: format.dataOffset)
            head.withUnsafeMutableBytes { template.write(sequenceNumber: UInt64(frame) + 1, time: .now, into: $0) }
            return MPXPrefix.encoded(bodyBytes: format.bodyBytes) + head + encoder.encoded(pattern.image(frame: frame))
        }
        let plan = try FaultPlan(
            "drop=0.1,duplicate=0.1,reorder=0.1,truncate=0.1,wrong-length=0.1,garbage=0.1,nul=0.1,garbage-before,"
                + "header-at=9")
        let (events, truth) = plan.apply(frameCount: 40, messageBytes: size, seed: seed)
        var bytes: [UInt8] = []
        for event in events { event.appendBytes(to: &bytes, header: header, frame: message) }

        var found: [Int] = []
        var headers = 0
        var parser = MPXStreamParser()
        bytes.withUnsafeBytes { bytes in
            var position = 0
            while position < bytes.count {
                let unread = UnsafeRawBufferPointer(rebasing: bytes[position...])
                switch parser.next(unread, quiet: true) {
                case .needMore: position = bytes.count
                case .skipped(let count): position += count
                case .message(let message):
                    if message.kind == .acquisitionHeader { headers += 1 }
                    if message.intact, message.totalBytes == size, message.kind == .frame {
                        let image = Array(unread[(15 + format.dataOffset)..<message.totalBytes])
                        if let identity = pattern.identify(image) { found.append(Int(identity.frame)) }
                    }
                    position += message.totalBytes
                }
            }
        }
        #expect(found == truth.intact)
        #expect(headers == truth.headers)
        #expect(truth.placeable.count < 40)
    }

    @Test func garbageIsReproducibleAndExact() {
        #expect(FaultPlan.garbage(seed: 5, count: 1000) == FaultPlan.garbage(seed: 5, count: 1000))
        #expect(FaultPlan.garbage(seed: 5, count: 1000).count == 1000)
        #expect(FaultPlan.garbage(seed: 5, count: 0).isEmpty)
    }
}
