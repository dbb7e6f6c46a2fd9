import StemwireAcquisition
import StemwireProtocol
import StemwireSystem

/// The dry run of an acquisition.
extension ControlOperations {
    func check(_ wanted: WireCheckRequest, _ deadline: ContinuousClock.Instant) async -> ControlAnswer {
        do throws(RequestFailure) {
            var settings = try await detector.perform(by: deadline, isReading: true) { control, timeLeft in
                var settings = AcquisitionCheck.Settings()
                for name in AcquisitionCheck.Settings.names {
                    let reply = try control.send(.get(name), timeout: timeLeft())
                    if reply.code.isOK, let value = reply.value { settings.take(name, value) }
                }
                return settings
            }
            for setting in wanted.settings { settings.take(setting.name, setting.value) }
            settings.take(wanted.arm)
            let shape = wanted.arm.navShape.map { Int($0) }
            let check = AcquisitionCheck(
                settings: settings,
                resolver: NavShapeResolver(
                    shape: shape.isEmpty ? configuration.navShape : shape, margins: margins(wanted.arm)),
                resources: resources(wanted.arm))
            var reply = WireReply()
            reply.check = check.report()
            return ControlAnswer(reply: reply)
        } catch {
            return error.answer
        }
    }

    private func resources(_ arm: WireArmRequest) -> AcquisitionCheck.Resources {
        let recording = status.recording(in: table.registered.map(\.requests))
        let disk = DiskSpace(of: recording?.directory ?? status.diskDirectory)
        return AcquisitionCheck.Resources(
            ringBytes: configuration.ringBytes, diskFree: disk?.bytesFree, isRecorded: recording != nil,
            partitions: partitions(arm))
    }

    /// The partitions that arming asks for, else those that the server was told; nil for usual ones, which always fit.
    private func partitions(_ arm: WireArmRequest) -> AcquisitionCheck.Partitions? {
        let frames = arm.framesPerPartition > 0 ? Int(arm.framesPerPartition) : configuration.framesPerPartition
        return frames.map { frames in
            AcquisitionCheck.Partitions(
                frames: frames,
                retention: PartitionRetention(
                    ringBytes: configuration.ringBytes, spoolBytes: configuration.spoolBytes),
                whenFull: configuration.whenProcessingIsBehind, threads: configuration.threads)
        }
    }

    /// Refuses partitions that nobody could work on, as far as the detector has told how large its frames are.
    func checkPartitions(_ arm: WireArmRequest, frames: Int?) throws(RequestFailure) {
        guard let facts = status.detectorFacts, let width = facts.width, let height = facts.height,
            let depth = facts.counterDepth
        else { return }
        let most = frames.map { $0 > 0 ? $0 : .max } ?? .max
        let bytes = AcquisitionCheck.frameBytes(width: width, height: height, depth: depth)
        guard let problem = partitions(arm)?.problem(frameBytes: bytes, frames: most), problem.isError else { return }
        throw RequestFailure(code: .invalidArgument, message: problem.text)
    }
}
