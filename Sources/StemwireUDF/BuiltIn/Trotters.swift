import Glibc
import MerlinProtocol

/// Where undiffracted and diffracted disks overlap on the detector, for each spatial frequency of a scan: the double
/// overlap regions, or trotters, of single side band ptychography.
///
/// A frequency q shifts a diffracted disk by s(q) = Tᵀ q / k₁, k₁ = sin(semiconv) / (λ · radius) being the size of a detector
/// pixel and T the turn of `scan_rotation` and `flip_y` as `com` has it. Disks are D(ρ) = clamp(radius + ½ − ρ, 0 … 1). The
/// weights of q are ½ (P / ΣP − N / ΣN), P = D(k) D(k − s) where D(k + s) = 0, N = D(k) D(k + s) where D(k − s) = 0; those
/// of q = 0 are D / ΣD. This is Ptychography40's definition (`generate_masks`, method `subpix`), after Pennycook et al.,
/// Ultramicroscopy 151 (2015) 160 and Rodenburg, McCallum and Nellist, Ultramicroscopy 48 (1993) 304.
struct Trotters: Sendable {
    let sigShape: SigShape
    /// The scan (rows, columns), and its steps in nm.
    let scan: (rows: Int, columns: Int)
    let step: (y: Double, x: Double)
    /// The middle of the undiffracted disk and its radius, in pixels.
    let centre: (y: Double, x: Double)
    let radius: Double
    /// Of a pixel, in 1/nm.
    let pixelSize: Double
    let rotation: Double
    let flipY: Bool
    /// What P and N must at least sum up to.
    let cutoff: Double

    /// The rows of frequencies that are not the conjugates of others.
    var frequencyRows: Int { scan.rows / 2 + 1 }
    /// One for each of these rows and each column, row by row.
    var maskCount: Int { frequencyRows * scan.columns }

    /// The shift of the diffracted disk in pixels.
    ///
    /// - Parameters:
    ///   - row: Index of the frequency along y: 0 … rows − 1, negative frequencies behind the positive ones.
    ///   - column: The same along x.
    func shift(row: Int, column: Int) -> (y: Double, x: Double) {
        func frequency(_ index: Int, _ size: Int, _ step: Double) -> Double {
            Double(2 * index > size ? index - size : index) / (step * Double(size))
        }
        let y = frequency(row, scan.rows, step.y) / pixelSize
        let x = frequency(column, scan.columns, step.x) / pixelSize
        // The rotation and flip bring shifts from the detector to the scan: here they are undone.
        let (cosine, sine) = (cos(rotation), sin(rotation))
        let straight = (y: cosine * y - sine * x, x: sine * y + cosine * x)
        return (flipY ? -straight.y : straight.y, straight.x)
    }

    /// About how many weights are not 0, by the areas in which circles overlap; frames that cut them off have fewer.
    var estimatedEntries: Double {
        let outer = radius + 0.5
        func lens(_ distance: Double) -> Double {
            guard distance < 2 * outer else { return 0 }
            let half = distance / 2
            return 2 * outer * outer * acos(half / outer) - distance * (outer * outer - half * half).squareRoot()
        }
        var sum = 0.0
        for row in 0..<frequencyRows {
            for column in 0..<scan.columns {
                let (y, x) = shift(row: row, column: column)
                let distance = (y * y + x * x).squareRoot()
                // Where both shifted disks overlap, the undiffracted one is, too.
                sum += distance == 0 ? lens(0) : 2 * (lens(distance) - lens(2 * distance))
            }
        }
        return sum
    }

    /// The weights of all frequencies as masks, in the order of `maskCount`.
    func masks(isDouble: Bool) -> SparseRows {
        var masks = SparseRows(isDouble: isDouble)
        let disk = undiffracted()
        let sum = disk.reduce(0) { $0 + $1.weight }
        var found: [(pixel: Int, weight: Double, isPositive: Bool)] = []
        for row in 0..<frequencyRows {
            for column in 0..<scan.columns {
                defer { masks.endMask() }
                let shift = shift(row: row, column: column)
                let distance = shift.y * shift.y + shift.x * shift.x
                if distance == 0 {
                    for place in disk { masks.append(place.pixel, place.weight / sum) }
                    continue
                }
                guard distance <= 4 * radius * radius else { continue }
                found.removeAll(keepingCapacity: true)
                var sums = (positive: 0.0, negative: 0.0)
                for place in disk {
                    let positive = weight(place.y - shift.y, place.x - shift.x)
                    let negative = weight(place.y + shift.y, place.x + shift.x)
                    guard (positive > 0) != (negative > 0) else { continue }
                    let product = place.weight * max(positive, negative)
                    found.append((place.pixel, product, positive > 0))
                    if positive > 0 { sums.positive += product } else { sums.negative += product }
                }
                guard sums.positive >= cutoff, sums.negative >= cutoff else { continue }
                let scales = (positive: 0.5 / sums.positive, negative: -0.5 / sums.negative)
                for place in found {
                    masks.append(place.pixel, place.weight * (place.isPositive ? scales.positive : scales.negative))
                }
            }
        }
        return masks
    }

    /// The pixels of the undiffracted disk, with their distances from its middle.
    private func undiffracted() -> [(pixel: Int, y: Double, x: Double, weight: Double)] {
        var disk: [(pixel: Int, y: Double, x: Double, weight: Double)] = []
        for row in 0..<sigShape.height {
            for column in 0..<sigShape.width {
                let (y, x) = (Double(row) - centre.y, Double(column) - centre.x)
                let weight = weight(y, x)
                if weight > 0 { disk.append((row * sigShape.width + column, y, x, weight)) }
            }
        }
        return disk
    }

    /// The share of a pixel that is in a disk, by the distance of its middle from that of the disk.
    @inline(__always)
    private func weight(_ y: Double, _ x: Double) -> Double {
        let squared = y * y + x * x
        // Only the edge takes a root.
        if squared <= (radius - 0.5) * (radius - 0.5) { return 1 }
        if squared >= (radius + 0.5) * (radius + 0.5) { return 0 }
        return radius + 0.5 - squared.squareRoot()
    }
}
