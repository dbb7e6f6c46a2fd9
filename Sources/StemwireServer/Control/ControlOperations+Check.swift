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
                resources: resources())
            var reply = WireReply()
            reply.check = check.report()
            return ControlAnswer(reply: reply)
        } catch {
            return error.answer
        }
    }

    private func resources() -> AcquisitionCheck.Resources {
        let recording = status.recording(in: table.registered.map(\.requests))
        let disk = DiskSpace(of: recording?.directory ?? status.diskDirectory)
        return AcquisitionCheck.Resources(
            ringBytes: configuration.ringBytes, diskFree: disk?.bytesFree, isRecorded: recording != nil)
    }
}
