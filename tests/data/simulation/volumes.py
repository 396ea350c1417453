"""Small CT volumes for tests: the phantom as HU, as NIfTI with labels, and as a DICOM series."""

from pathlib import Path

import nibabel
import numpy as np
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from data.findings import MU_WATER
from data.simulation.volumes.totalsegmentator import NAMES

SPACING = 4.0
_MU_BONE = 0.0573


def hounsfield(mu):
    """The inverse of `thorax.hu_to_mu`."""
    soft = (mu / MU_WATER - 1) * 1000
    bone = (mu - MU_WATER) / (_MU_BONE - MU_WATER) * 1000
    return np.where(mu <= MU_WATER, soft, bone).astype(np.float32)


def renumbered(anatomy, table=NAMES):
    """The labels of an anatomy in the numbers of a table; structures that it lacks are 0."""
    labels = np.zeros(anatomy.labels.shape, dtype=np.uint8)
    for name, number in anatomy.names.items():
        if name in table:
            labels[anatomy.labels == number] = table[name]
    return labels


def save_nifti(path: Path, array, axes: str = "RAS", spacing: float = SPACING) -> Path:
    """Store an array whose axes point left, front, head, as a file of the given orientation."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(array[::-1].copy(), np.diag([spacing, spacing, spacing, 1.0]))
    there = nibabel.orientations.axcodes2ornt(axes)
    turned = image.as_reoriented(
        nibabel.orientations.ornt_transform(nibabel.orientations.axcodes2ornt("RAS"), there)
    )
    nibabel.save(turned, path)
    return path


def save_dicom(
    folder: Path,
    hu,
    *,
    spacing: float = SPACING,
    patient: str = "4711",
    name: str = "Mustermann^Erika",
    series: str | None = None,
    tilt: float = 0.0,
    shuffle: int = 0,
    **tags,
) -> list[Path]:
    """Store HU `[X, Y, Z]` (left, front, head) as an axial series, in a random order of files."""
    folder.mkdir(parents=True, exist_ok=True)
    series = series or generate_uid()
    study = generate_uid()
    order = np.random.default_rng(shuffle).permutation(hu.shape[2])
    paths = []
    for number, level in enumerate(order):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        path = folder / f"IM{number:04d}"
        dataset = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
        dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        dataset.Modality, dataset.PatientName, dataset.PatientID = "CT", name, patient
        dataset.PatientBirthDate = "19640812"
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        dataset.PixelSpacing = [spacing, spacing]
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        height = float(level) * spacing
        dataset.ImagePositionPatient = [-100.0, -50.0 + tilt * height, 300.0 + height]
        # Rows run to the back and columns to the left.
        pixels = np.round(hu[:, ::-1, level].T + 1024).astype(np.uint16)
        dataset.Rows, dataset.Columns = pixels.shape
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.BitsAllocated = dataset.BitsStored = 16
        dataset.HighBit, dataset.PixelRepresentation = 15, 0
        dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024
        dataset.PixelData = pixels.tobytes()
        for tag, value in tags.items():
            setattr(dataset, tag, value)
        pydicom.dcmwrite(path, dataset, enforce_file_format=True)
        paths.append(path)
    return [paths[index] for index in np.argsort(order)]
