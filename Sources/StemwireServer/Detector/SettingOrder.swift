import Foundation

/// The order in which a Merlin takes settings, whatever the order in which they are given. I/O-free.
enum SettingOrder {
    /// What decides which other values are allowed comes first: the counter's mode before its depth, both before exposure;
    /// the number of frames before that of a trigger; a file's directory and name before it is switched on.
    private static let order = [
        "RESET", "HVBIAS", "POLARITY", "COLOURMODE", "CHARGESUMMING", "ENABLECOUNTER1", "CONTINUOUSRW", "COUNTERDEPTH",
        "GAIN", "OPERATINGENERGY", "THRESHOLD0", "THRESHOLD1", "THRESHOLD2", "THRESHOLD3", "THRESHOLD4", "THRESHOLD5",
        "THRESHOLD6", "THRESHOLD7", "FILLMODE", "ROIROWS", "FLATFIELDFILE", "FLATFIELDCORRECTION", "MASKINDATA",
        "DEADTIMECORRECTION", "ACQUISITIONTIME", "ACQUISITIONPERIOD", "STEMSCANX", "STEMSCANY", "NUMFRAMESTOACQUIRE",
        "NUMFRAMESPERTRIGGER", "TRIGGERSTART", "TRIGGERSTOP", "FILEDIRECTORY", "FILENAME", "FILEFORMAT", "FILECOUNTER",
        "IMAGESPERFILE", "SAVEALLTOFILE", "USETIMESTAMPING", "FILEENABLE",
    ]

    private static let ranks = Dictionary(uniqueKeysWithValues: order.enumerated().map { ($1, $0) })

    /// The settings in that order; others come last, as they were given. Of a name that comes twice, the last value counts.
    static func sorted(_ settings: [(name: String, value: String)]) -> [(name: String, value: String)] {
        var last: [String: (place: Int, name: String, value: String)] = [:]
        for (place, setting) in settings.enumerated() {
            last[setting.name.uppercased()] = (place, setting.name, setting.value)
        }
        return last.sorted { left, right in
            let (first, second) = (ranks[left.key] ?? order.count, ranks[right.key] ?? order.count)
            return first != second ? first < second : left.value.place < right.value.place
        }.map { ($0.value.name, $0.value.value) }
    }

    /// Whether a detector's value is the one that was asked for: as numbers within six digits, else as words.
    static func isSame(_ asked: String, _ value: String) -> Bool {
        let (asked, value) = (
            asked.trimmingCharacters(in: .whitespaces), value.trimmingCharacters(in: .whitespaces)
        )
        if let left = Double(asked), let right = Double(value) {
            return abs(left - right) <= 1e-6 * max(1, abs(left), abs(right))
        }
        return asked.caseInsensitiveCompare(value) == .orderedSame
    }
}
