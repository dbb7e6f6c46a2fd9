import MerlinSimulator
import StemwireClient
import Testing

/// One thing that goes wrong in a scan of 64 frames, and what is to come of it.
struct FaultCase: Sendable, CustomTestStringConvertible {
    let faults: String
    let reason: AcquisitionEnd.Reason
    /// How long the fault itself keeps the detector from sending.
    var lasts = Duration.zero
    /// Whether the detector, not being heard, sends on after the acquisition's end.
    var goesOnAfterwards = false

    var testDescription: String { faults }

    static let all: [FaultCase] = [
        FaultCase(faults: "drop-first", reason: .complete),
        FaultCase(faults: "drop-middle", reason: .complete),
        FaultCase(faults: "drop-last", reason: .idle),
        FaultCase(faults: "drop-at=1-16", reason: .complete),
        FaultCase(faults: "drop=0.3", reason: .complete),
        FaultCase(faults: "duplicate=0.3", reason: .complete),
        FaultCase(faults: "duplicate-at=1+32+64", reason: .complete),
        FaultCase(faults: "reorder=0.4", reason: .complete),
        FaultCase(faults: "truncate-at=1+20+40", reason: .complete),
        FaultCase(faults: "truncate-at=64", reason: .idle),
        FaultCase(faults: "truncate=0.3", reason: .complete),
        FaultCase(faults: "garbage-before", reason: .complete),
        FaultCase(faults: "garbage=0.4", reason: .complete),
        FaultCase(faults: "nul=0.4", reason: .complete),
        FaultCase(faults: "wrong-length-at=2+20+40", reason: .complete),
        FaultCase(faults: "wrong-length=0.2", reason: .complete),
        FaultCase(faults: "header-twice", reason: .complete),
        FaultCase(faults: "header-at=30", reason: .complete),
        FaultCase(faults: "abort-at=30", reason: .idle),
        FaultCase(faults: "stall-at=30:100ms", reason: .complete, lasts: .milliseconds(100)),
        FaultCase(faults: "stall-at=30:600ms", reason: .idle, goesOnAfterwards: true),
        FaultCase(faults: "trickle-at=30:600ms", reason: .complete, lasts: .milliseconds(600)),
        FaultCase(faults: "half-close-at=30", reason: .connectionClosed),
        FaultCase(faults: "reset-at=30", reason: .connectionClosed),
        FaultCase(faults: "drop=0.1,duplicate=0.1,reorder=0.1,garbage=0.1,nul=0.1,header-at=20", reason: .complete),
        FaultCase(faults: "drop=0.1,truncate=0.1,wrong-length=0.1,garbage=0.1,abort-at=60", reason: .idle),
    ]
}

extension ServerTests {
    @Suite("Faults of the detector") struct Faults {
        /// As many partitions lack frames as a thread takes at a time, and the ring has no room for eight of them.
        @Test("partitions that stay incomplete do not stand before all others", .timeLimit(.minutes(1)))
        func incompletePartitions() async throws {
            try await Bench.run(
                nav: [24, 16], sig: 256, faults: "drop-at=3+40+100+170+200+300",
                server: { settings in
                    settings.framesPerPartition = 16
                    settings.threads = 1
                }
            ) { bench in
                let client = try await bench.connect()
                try await client.armWhenFree()
                try await client.trigger()
                let end = try await client.waitForEnd(deadline: .seconds(30))
                #expect(end.endReason == "complete" && end.accounting.missing == 6)
                let image = try await client.snapshot(udf: "sumsig").channel(udf: "sumsig", "intensity")
                #expect(image?.positionsProcessed == 24 * 16 - 6)
                await client.close()
            }
        }

        @Test(
            "no frame on another's position, accounts that add up, an end in time, and then a scan that is right",
            arguments: FaultCase.all)
        func fault(_ fault: FaultCase) async throws {
            try await Bench.run(faults: fault.faults + ",runs=1") { bench in
                let pattern = try bench.pattern
                let truth = bench.truth(fault.faults)
                let client = try await bench.connect()
                let delay = try MachineDelay()
                let stream = client.tiles(options: .init(repair: true, untilEnd: true))
                try await stream.subscribed()
                try await client.armWhenFree()
                let began = ContinuousClock.now
                try await client.trigger()
                let seen = try #require(try await Seen.follow(stream, pattern).first)
                let took = ContinuousClock.now - began

                #expect(
                    took <= Bench.idleLimit + .milliseconds(500) + fault.lasts + delay.sum,
                    "\(stream.statistics), \(seen.gaps), \(seen.end.debugDescription)")
                #expect(seen.end?.reason == Self.reason(fault, truth))
                #expect(seen.misplaced == [] && seen.deliveredTwice == [])
                #expect(seen.acquisitions.isSubset(of: [0]))
                let accounting = try #require(seen.end?.accounting)
                #expect(accounting.isBalanced && accounting.expected == 64)
                #expect(accounting.placed == seen.frames.count)
                let heard = Self.heard(fault, truth)
                if truth.ending == .reset {
                    // What lay unread in the receiving system goes with a reset.
                    #expect(Set(seen.frames.keys).isSubset(of: heard))
                } else {
                    #expect(Set(seen.frames.keys) == heard)
                    #expect(accounting.duplicates == Self.duplicates(truth))
                    #expect(accounting.duplicateRanges.isEmpty == (accounting.duplicates == 0))
                    #expect(accounting.garbageBytes >= truth.garbageBytes - Self.garbageBefore(fault, truth))
                }
                let absent = Set(0..<64).subtracting(seen.frames.keys)
                #expect(accounting.missing + accounting.rejected == absent.count)
                #expect(accounting.missingRanges.allSatisfy { range in range.allSatisfy { absent.contains($0) } })

                try await Self.expectWholeScan(bench, client)
                await client.close()
            }
        }

        /// The frames that come while the acquisition lasts.
        static func heard(_ fault: FaultCase, _ truth: FaultTruth) -> Set<Int> {
            fault.goesOnAfterwards ? truth.placeable.filter { $0 < 29 } : truth.placeable
        }

        /// Without its last frame, an acquisition cannot be known to be complete.
        static func reason(_ fault: FaultCase, _ truth: FaultTruth) -> AcquisitionEnd.Reason {
            guard fault.reason == .complete else { return fault.reason }
            return truth.placeable.contains(63) ? .complete : .idle
        }

        /// Copies that come while the acquisition lasts: it ends with the frame that makes it complete.
        static func duplicates(_ truth: FaultTruth) -> Int {
            var came: Set<Int> = []
            var duplicates = 0
            for frame in truth.intact where came.count < 64 {
                if !came.insert(frame).inserted { duplicates += 1 }
            }
            return duplicates
        }

        /// Garbage before the acquisition header belongs to no acquisition.
        static func garbageBefore(_ fault: FaultCase, _ truth: FaultTruth) -> Int {
            fault.faults.contains("garbage-before") ? truth.garbageBytes : 0
        }

        /// The next scan, on the same server.
        static func expectWholeScan(_ bench: Bench, _ client: StemwireConnection) async throws {
            try await eventually("a connection to the detector") {
                try await client.status().detector.dataConnected ? () : nil
            }
            let stream = client.tiles(options: .init(repair: true, untilEnd: true))
            try await stream.subscribed()
            try await client.startScan()
            let seen = try #require(try await Seen.follow(stream, bench.pattern).first)
            expectComplete(seen, frames: 64)
            #expect(seen.acquisitions == [1])
            #expect(seen.end?.accounting.duplicates == 0 && seen.end?.accounting.strays == 0)
        }
    }
}

extension Bench {
    /// What the simulator really sends in its first acquisition.
    func truth(_ faults: String) -> FaultTruth {
        // The specification was read once already.
        let plan = try! FaultPlan(faults)
        return plan.apply(
            frameCount: simulator.frameCount, messageBytes: messageBytes, seed: simulator.configuration.seed
        )
        .truth
    }
}
