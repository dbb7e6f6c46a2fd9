import StemwireAcquisition
import StemwireProtocol
import Testing

@testable import StemwireServer

@Suite struct AcquisitionCheckTests {
    static func report(
        shape: [Int]? = [16, 16], margins: ScanMargins = .init(), ring: Int = 64 << 20, disk: Int? = nil,
        _ change: (inout AcquisitionCheck.Settings) -> Void = { _ in }
    ) -> WireCheckReport {
        var settings = AcquisitionCheck.Settings()
        for (name, value) in [
            ("NUMFRAMESTOACQUIRE", "256"), ("NUMFRAMESPERTRIGGER", "256"), ("TRIGGERSTART", "5"),
            ("COUNTERDEPTH", "12"),
            ("ACQUISITIONTIME", "1.000000"), ("ACQUISITIONPERIOD", "2"), ("IMAGEX", "256"), ("IMAGEY", "256"),
        ] { settings.take(name, value) }
        change(&settings)
        return AcquisitionCheck(
            settings: settings, resolver: NavShapeResolver(shape: shape, margins: margins),
            resources: .init(ringBytes: ring, diskFree: disk, isRecorded: disk != nil)
        ).report()
    }

    static func codes(_ report: WireCheckReport) -> Set<String> {
        Set(report.findings.filter { $0.severity != "info" }.map(\.code))
    }

    @Test func whatFitsIsFine() {
        let report = Self.report(disk: 1 << 30)
        #expect(report.ok && Self.codes(report) == [])
        #expect(report.framesNeeded == 256 && report.triggers == 1 && report.sigShape == [256, 256])
        #expect(abs(report.seconds - 0.512) < 1e-9 && report.dtype == "uint16")
        #expect(report.frameBytes == 131_072 + 783 && report.bytes == 256 * report.frameBytes)
    }

    @Test func framesAgainstTheScan() {
        #expect(Self.codes(Self.report(shape: [16, 17])) == ["frames.tooFew"])
        #expect(Self.codes(Self.report(shape: [16, 15])) == ["frames.tooMany"])
        // Fly-back frames take frames too.
        let flyback = Self.report(margins: ScanMargins(flybackPerLine: 1))
        #expect(flyback.framesNeeded == 272 && Self.codes(flyback) == ["frames.tooFew"])
        let endless = Self.report { $0.frames = 0 }
        #expect(endless.ok && endless.findings.contains { $0.code == "frames.endless" } && endless.framesAnnounced == 0)
        #expect(Self.codes(Self.report(shape: [-1, 7])) == ["scan.shape"])
    }

    @Test func triggersAgainstFrames() {
        #expect(Self.codes(Self.report { $0.framesPerTrigger = 16 }) == ["trigger.many"])
        let line = Self.report {
            $0.framesPerTrigger = 16
            $0.triggerStart = 3
        }
        #expect(line.ok && line.triggers == 16)
        #expect(Self.codes(Self.report { $0.framesPerTrigger = 100 }).contains("trigger.uneven"))
    }

    @Test func dwellAgainstReadout() {
        #expect(Self.codes(Self.report { $0.periodMilliseconds = 1.5 }) == ["dwell.tooShort"])
        // 6 bits are read out in half the time.
        #expect(
            Self.codes(
                Self.report {
                    $0.periodMilliseconds = 1.5
                    $0.counterDepth = 6
                }) == [])
        let continuous = Self.report {
            $0.isContinuous = true
            $0.exposureMilliseconds = 0.5
        }
        #expect(!continuous.ok && Self.codes(continuous) == ["dwell.tooShort"])
        #expect(
            Self.codes(
                Self.report {
                    $0.isContinuous = true
                    $0.counterDepth = 24
                }) == ["depth.continuous"])
    }

    @Test func sizesAgainstMemoryAndDisk() {
        #expect(Self.codes(Self.report(disk: 1 << 20)) == ["disk.full"])
        #expect(Self.codes(Self.report(disk: 40 << 20)) == ["disk.little"])
        #expect(Self.codes(Self.report(ring: 256 << 10)) == ["ring.tooSmall"])
    }
}

@Suite struct SettingOrderTests {
    @Test func settingsComeInTheDetectorsOrder() {
        let sorted = SettingOrder.sorted([
            ("FILEENABLE", "1"), ("numframespertrigger", "4"), ("SOMETHING", "x"), ("NUMFRAMESTOACQUIRE", "8"),
            ("COUNTERDEPTH", "6"), ("OTHER", "y"), ("CONTINUOUSRW", "1"), ("COUNTERDEPTH", "12"),
        ])
        #expect(
            sorted.map(\.name) == [
                "CONTINUOUSRW", "COUNTERDEPTH", "NUMFRAMESTOACQUIRE", "numframespertrigger", "FILEENABLE", "SOMETHING",
                "OTHER",
            ])
        #expect(sorted[1].value == "12")
    }

    @Test func valuesAreComparedAsNumbersWhereTheyAreNumbers() {
        #expect(SettingOrder.isSame("7.5", "7.500000") && SettingOrder.isSame("12", " 12 "))
        #expect(!SettingOrder.isSame("7.5", "7.51") && !SettingOrder.isSame("1", "0"))
        #expect(SettingOrder.isSame("/data", "/DATA") && !SettingOrder.isSame("a", "b"))
    }
}
