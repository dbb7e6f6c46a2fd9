import StemwireAcquisition
import StemwireProtocol

/// Whether an acquisition would work, and what it takes. I/O-free.
struct AcquisitionCheck: Sendable {
    /// The detector's settings as they would be when it is armed; nil where it does not tell.
    struct Settings: Sendable {
        /// NUMFRAMESTOACQUIRE; 0: until stopped.
        var frames: Int?
        var framesPerTrigger: Int?
        var triggerStart: Int?
        var triggerStop: Int?
        var counterDepth: Int?
        var isContinuous = false
        var isRaw = false
        var exposureMilliseconds: Double?
        var periodMilliseconds: Double?
        var width: Int?
        var height: Int?
        var scanX: Int?
        var scanY: Int?

        /// The names to ask for, and where their values go.
        static let names = [
            "NUMFRAMESTOACQUIRE", "NUMFRAMESPERTRIGGER", "TRIGGERSTART", "TRIGGERSTOP", "COUNTERDEPTH", "CONTINUOUSRW",
            "FILEFORMAT", "ACQUISITIONTIME", "ACQUISITIONPERIOD", "IMAGEX", "IMAGEY", "STEMSCANX", "STEMSCANY",
        ]

        mutating func take(_ name: String, _ value: String) {
            let number = Double(value.filter { $0 != " " })
            let whole = number.flatMap { Int(exactly: $0) }
            switch name.uppercased() {
            case "NUMFRAMESTOACQUIRE": frames = whole
            case "NUMFRAMESPERTRIGGER": framesPerTrigger = whole
            case "TRIGGERSTART": triggerStart = whole
            case "TRIGGERSTOP": triggerStop = whole
            case "COUNTERDEPTH": counterDepth = whole
            case "CONTINUOUSRW": isContinuous = whole == 1
            case "FILEFORMAT": isRaw = whole == 2
            case "ACQUISITIONTIME": exposureMilliseconds = number
            case "ACQUISITIONPERIOD": periodMilliseconds = number
            case "IMAGEX": width = whole
            case "IMAGEY": height = whole
            case "STEMSCANX": scanX = whole
            case "STEMSCANY": scanY = whole
            default: break
            }
        }

        /// What arming would set.
        mutating func take(_ arm: WireArmRequest) {
            if arm.endless {
                frames = 0
            } else if arm.frames > 0 {
                frames = Int(clamping: arm.frames)
                if arm.trigger == DetectorTrigger.soft.rawValue { framesPerTrigger = frames }
            }
            if let trigger = DetectorTrigger(rawValue: arm.trigger) { triggerStart = trigger.triggerStart }
        }
    }

    /// What the server has.
    struct Resources: Sendable {
        var ringBytes: Int
        /// Of the disk that frames would be recorded on, and whether they would; nil when it cannot be told.
        var diskFree: Int?
        var isRecorded = false
        var partitions: Partitions?
    }

    /// Partitions of a given length, where one is given.
    struct Partitions: Sendable {
        let frames: Int
        let retention: PartitionRetention
        let whenFull: StoreFullPolicy
        /// Threads of the server, which can do without frames that are kept.
        let threads: Int

        /// What is wrong with them; an error when nothing could be done with them.
        func problem(frameBytes: Int, frames most: Int) -> (isError: Bool, text: String)? {
            guard let problem = retention.problem(frames: min(frames, most), frameBytes: frameBytes) else { return nil }
            switch whenFull {
            case .dropProcessing: return (false, "\(problem); frames may be lost to processing")
            case .backPressure where threads > 0: return (false, "\(problem); workers get none of them")
            case .backPressure: return (true, problem)
            }
        }
    }

    /// A frame's message without its pixels: prefix and header, which a quad's four chips make 768 bytes.
    private static let headerBytes = 15 + 768

    let settings: Settings
    let resolver: NavShapeResolver
    let resources: Resources

    func report() -> WireCheckReport {
        var report = WireCheckReport()
        shape(&report)
        timing(&report)
        sizes(&report)
        report.ok = !report.findings.contains { $0.severity == "error" }
        return report
    }

    // MARK: Frames and triggers

    private func shape(_ report: inout WireCheckReport) {
        let announced = settings.frames
        report.framesAnnounced = UInt64(announced ?? 0)
        do throws(NavShapeError) {
            let scan = try resolver.resolve(
                frameCount: announced, framesPerTrigger: settings.framesPerTrigger, scanX: settings.scanX,
                scanY: settings.scanY)
            report.navShape = scan.geometry.navShape.wire
            report.framesNeeded = UInt64(scan.geometry.totalFrames)
            // That the numbers do not go together is told below.
            let isEqual = announced.map { $0 == 0 || $0 == scan.geometry.totalFrames } ?? true
            if isEqual { for warning in scan.warnings { report.note("warning", "scan.size", warning) } }
            compare(scan.geometry.totalFrames, announced, &report)
        } catch {
            report.framesNeeded = UInt64(announced ?? 0)
            report.note("error", "scan.shape", error.description)
        }
        triggers(&report)
    }

    private func compare(_ needed: Int, _ announced: Int?, _ report: inout WireCheckReport) {
        guard let announced else {
            return report.note(
                "warning", "frames.unknown",
                "the detector does not tell how many frames it would send; the scan takes \(needed)")
        }
        if announced == 0 {
            report.note(
                "info", "frames.endless",
                "the detector sends until it is stopped; each \(needed) frames become an acquisition")
        } else if announced < needed {
            report.note(
                "error", "frames.tooFew",
                "the scan takes \(needed) frames, the detector would send \(announced) (NUMFRAMESTOACQUIRE); "
                    + "\(needed - announced) positions would be missing")
        } else if announced > needed {
            report.note(
                "error", "frames.tooMany",
                "the scan takes \(needed) frames, the detector would send \(announced) (NUMFRAMESTOACQUIRE); "
                    + "are fly-back frames to be declared?")
        }
    }

    private func triggers(_ report: inout WireCheckReport) {
        guard let start = settings.triggerStart, start != 0 else {
            return report.note("info", "trigger.internal", "the detector begins as soon as it is armed")
        }
        let name = start == 5 ? "soft" : start == 1 || start == 2 ? "TTL" : "LVDS"
        guard let each = settings.framesPerTrigger, each > 0, let frames = settings.frames, frames > 0 else { return }
        let count = (frames + each - 1) / each
        report.triggers = UInt64(count)
        if frames % each != 0 {
            report.note(
                "warning", "trigger.uneven",
                "\(frames) frames are not a multiple of the \(each) frames of a trigger: the last of \(count) triggers is cut"
            )
        }
        if start == 5, count > 1 {
            report.note(
                "warning", "trigger.many",
                "each \(name) trigger gives \(each) frames, so that \(count) of them are needed (NUMFRAMESPERTRIGGER)")
        } else {
            report.note("info", "trigger.count", "\(count) \(name) trigger\(count == 1 ? "" : "s") of \(each) frames")
        }
    }

    // MARK: Time

    private func timing(_ report: inout WireCheckReport) {
        let exposure = (settings.exposureMilliseconds ?? 0) / 1e3
        let depth = settings.counterDepth ?? 0
        report.counterDepth = UInt32(clamping: depth)
        report.exposureSeconds = exposure
        let readout = DetectorFacts.deadTime(depth: depth)
        report.deadTimeSeconds = settings.isContinuous && depth != 24 ? 0 : readout
        let least = settings.isContinuous ? max(exposure, readout) : exposure + readout
        let period = (settings.periodMilliseconds ?? 0) / 1e3
        report.frameSeconds = max(least, period)
        report.seconds = report.frameSeconds * Double(report.framesNeeded)
        if settings.isContinuous, depth == 24 {
            report.note("error", "depth.continuous", "24 bits cannot be read continuously (CONTINUOUSRW)")
        } else if settings.isContinuous, exposure > 0, exposure < readout {
            report.note(
                "error", "dwell.tooShort",
                "\(Self.milliseconds(exposure)) are shorter than the readout of \(depth) bits, \(Self.milliseconds(readout)), "
                    + "which bounds the exposure in continuous mode")
        } else if period > 0, period < least * 0.999 {
            report.note(
                "warning", "dwell.tooShort",
                "a frame every \(Self.milliseconds(period)) (ACQUISITIONPERIOD) is too fast for \(Self.milliseconds(exposure)) of "
                    + "exposure and \(Self.milliseconds(readout)) to read \(depth) bits out: triggers of the scan would be missed"
            )
        }
    }

    private static func milliseconds(_ seconds: Double) -> String { "\((seconds * 1e5).rounded() / 100) ms" }

    // MARK: Sizes

    /// Bytes of a frame with its headers, as sent.
    static func frameBytes(width: Int, height: Int, depth: Int, isRaw: Bool = false) -> Int {
        let bits =
            isRaw
            ? (depth == 24 ? 32 : depth == 12 ? 16 : depth == 6 ? 8 : 1) : depth <= 8 ? 8 : depth <= 16 ? 16 : 32
        return width * height * bits / 8 + headerBytes
    }

    private func sizes(_ report: inout WireCheckReport) {
        guard let width = settings.width, let height = settings.height, let depth = settings.counterDepth,
            width > 0, height > 0, width <= 1 << 16, height <= 1 << 16
        else { return }
        report.sigShape = [UInt32(height), UInt32(width)]
        report.dtype = DetectorFacts(counterDepth: depth).dtype ?? ""
        let frame = Self.frameBytes(width: width, height: height, depth: depth, isRaw: settings.isRaw)
        report.frameBytes = UInt64(frame)
        let (total, overflow) = frame.multipliedReportingOverflow(by: Int(clamping: report.framesNeeded))
        report.bytes = UInt64(overflow ? Int.max : total)
        if frame > resources.ringBytes / 4 {
            report.note(
                "error", "ring.tooSmall",
                "a frame of \(frame >> 10) KiB needs more memory than the \(resources.ringBytes >> 20) MiB that frames have here "
                    + "(--ring)")
        }
        let most = report.framesNeeded > 0 ? Int(clamping: report.framesNeeded) : .max
        if let problem = resources.partitions?.problem(frameBytes: frame, frames: most) {
            report.note(problem.isError ? "error" : "warning", "partition.tooLarge", problem.text)
        }
        guard let free = resources.diskFree else { return }
        report.diskBytesFree = UInt64(free)
        guard resources.isRecorded else { return }
        if UInt64(free) < report.bytes {
            report.note(
                "error", "disk.full",
                "the scan takes \(report.bytes >> 20) MiB, and \(free >> 20) MiB are free on the disk it is recorded on"
            )
        } else if UInt64(free) < 2 * report.bytes {
            report.note("warning", "disk.little", "after this scan there is no room for another one like it")
        }
    }
}

extension WireCheckReport {
    fileprivate mutating func note(_ severity: String, _ code: String, _ text: String) {
        var finding = WireCheckFinding()
        (finding.severity, finding.code, finding.text) = (severity, code, text)
        findings.append(finding)
    }
}
